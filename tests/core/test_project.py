"""What strangers are told of the project is what it is: the drawing of the house, pins that stand twice."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def layers_of(container: str) -> list[str]:
    """The contract's layers in pyproject.toml, from the top down, their rooms sorted."""
    found = re.search(rf'containers = \["{container}"\]\nlayers = \[(.*?)\]', read("pyproject.toml"), re.DOTALL)
    assert found is not None
    return [" | ".join(sorted(layer.split(" | "))) for layer in re.findall(r'"([^"]+)"', found[1])]


def drawn(number: int, there: set[str]) -> list[str]:
    """The like in a drawing of docs/ARCHITECTURE.md, as far as the rooms are there."""
    drawing = re.findall(r"^```\n(.*?)^```", read("docs/ARCHITECTURE.md"), re.DOTALL | re.MULTILINE)[number]
    names = [re.findall(r"^\w+(?: \| \w+)*(?= {2,})", line) for line in drawing.splitlines()]
    rows = [sorted(set(row[0].split(" | ")) & there) for row in names if row]
    return [" | ".join(row) for row in rows if row]


def rooms_of(folder: Path) -> set[str]:
    return {
        path.stem
        for path in folder.iterdir()
        if path.name != "__init__.py" and (path.suffix == ".py" or (path / "__init__.py").is_file())
    }


def test_the_house_is_drawn_as_it_stands() -> None:
    core, webui = rooms_of(ROOT / "lib_upscaler"), rooms_of(ROOT / "lib_upscaler" / "webui")
    assert {"pipeline", "pictures"} <= core
    assert drawn(0, core) == layers_of("lib_upscaler")
    assert drawn(1, webui) == layers_of("lib_upscaler.webui")


def test_what_the_way_of_a_picture_names_is_there() -> None:
    way = read("docs/ARCHITECTURE.md").split("## A picture's way")[1]
    named = re.findall(r"`(\w+)\.(\w+)`", way)
    assert len(named) > 10
    for room, part in named:
        folders = (ROOT / "lib_upscaler" / room, ROOT / "lib_upscaler" / "webui" / room)
        files = [file for folder in folders for file in (folder / f"{part}.py", folder / part / "__init__.py")]
        alone = ROOT / "lib_upscaler" / f"{'pipeline' if room == 'Upscaler' else room}.py"
        defined = alone.is_file() and re.search(rf"^ *(class|def) {part}\b", alone.read_text("utf-8"), re.MULTILINE)
        assert defined or any(file.is_file() for file in files), f"{room}.{part}"


def test_links_between_the_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").glob("*.md")]
    assert len(documents) > 8
    for document in documents:
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8")):
            assert "://" in link or (document.parent / link).exists(), f"{document.name}: {link}"


def test_one_ruff_looks_at_the_style_everywhere() -> None:
    pins = {
        pin for name in ("pyproject.toml", ".pre-commit-config.yaml") for pin in re.findall(r"ruff==[\w.]+", read(name))
    }
    assert len(pins) == 1
    assert read(".pre-commit-config.yaml").count(*pins) == 2


def test_the_workflow_and_the_classifiers_speak_of_pythons_that_can_be_had() -> None:
    from lib_upscaler.installation.explain import NEWEST_PYTHON, OLDEST_PYTHON

    tested = re.findall(r'"(3\.\d+)"', read(".github/workflows/tests.yml"))
    classified = re.findall(r"Python :: (3\.\d+)", read("pyproject.toml"))
    assert {"3.10", "3.13"} <= set(tested) <= set(classified)
    assert all(OLDEST_PYTHON <= tuple(map(int, one.split("."))) <= NEWEST_PYTHON for one in classified)


def test_the_changelog_begins_with_this_version() -> None:
    """Or with what came after its release."""
    from lib_upscaler import __version__

    headings = re.findall(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert [one for one in headings if one != "Unreleased"][:1] == [__version__]
