"""Which versions install.py asks for, and what it says where there are none."""

from __future__ import annotations

import sys

import pytest
from packaging.requirements import Requirement

from installing import ROOT
from lib_upscaler.installation.explain import fetch_failure, hints, pip_failure, sizes, unsupported
from lib_upscaler.installation.requirements import requirements

PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
TORCH_PAIRS = {"2.1.2": "0.16.2", "2.2.2": "0.17.2", "2.9.0": "0.24.0"}  # PyTorch's table of versions that match


def pins(python: str) -> dict[str, str]:
    """Package -> version that the private environment gets under this Python."""
    chosen: dict[str, str] = {}
    for requirement in map(Requirement, requirements("host")):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            assert requirement.name not in chosen, f"two versions of {requirement.name}"
            chosen[requirement.name] = str(requirement.specifier).removeprefix("==")
    return chosen


@pytest.mark.parametrize("python", PYTHONS[:3])
def test_versions_are_those_of_a_webui_where_python_allows(python: str) -> None:
    chosen = pins(python)
    del chosen["psutil"]
    assert chosen == {
        "torch": "2.1.2",
        "torchvision": "0.16.2",
        "spandrel": "0.3.4",
        "spandrel_extra_arches": "0.1.1",
        "numpy": "1.26.2",
        "Pillow": "9.5.0",
        "safetensors": "0.4.2",
        "einops": "0.4.1",
    }


@pytest.mark.parametrize("python", PYTHONS)
def test_versions_match_each_other_and_what_the_project_declares(python: str) -> None:
    chosen = pins(python)
    assert chosen["torchvision"] == TORCH_PAIRS[chosen["torch"]]
    declared = {
        requirement.name: requirement.specifier for requirement in map(Requirement, requirements("dependencies"))
    }
    for name, version in chosen.items():
        assert declared[name].contains(version), f"{name} {version}"


def test_requirements_are_what_a_toml_parser_reads() -> None:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        tomllib = pytest.importorskip("tomli")
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert requirements("dependencies") == table["dependencies"]
    for group, lines in table["optional-dependencies"].items():
        assert requirements(group) == lines


@pytest.mark.parametrize("python", [(3, 9), (3, 10), (3, 11), (3, 12), (3, 13), (3, 14)])
@pytest.mark.parametrize("platform", ["linux-x86_64", "linux-aarch64", "win-amd64", "macosx-arm64"])
def test_usual_machines_are_served(python: tuple[int, int], platform: str) -> None:
    assert unsupported(python, platform, "cpython", True) == ""


@pytest.mark.parametrize(
    ("python", "platform", "implementation", "is_64_bit", "word"),
    [
        ((3, 8), "linux-x86_64", "cpython", True, "too old"),
        ((3, 15), "linux-x86_64", "cpython", True, "too new"),
        ((3, 10), "linux-x86_64", "pypy", True, "CPython"),
        ((3, 11), "win32", "cpython", False, "64-bit"),
        ((3, 11), "win-arm64", "cpython", True, "ARM"),
        ((3, 13), "macosx-x86_64", "cpython", True, "Intel Macs"),
    ],
)
def test_a_python_without_pytorch_is_refused_in_words(
    python: tuple[int, int], platform: str, implementation: str, is_64_bit: bool, word: str
) -> None:
    assert word in unsupported(python, platform, implementation, is_64_bit)


def test_cuda_on_linux_is_told_with_the_way_around_it() -> None:
    with_cuda = sizes("linux-x86_64", (3, 11), extra_index=False)
    without = sizes("linux-x86_64", (3, 11), extra_index=True)
    assert min(with_cuda) > 2 > max(without)
    assert "PIP_EXTRA_INDEX_URL" in " ".join(hints("linux-x86_64"))
    assert hints("macosx-arm64") == []


@pytest.mark.parametrize(
    ("log", "word"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        (
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(': Failed to establish "
            "a new connection: [Errno -3] Temporary failure in name resolution')'\n"
            "ERROR: No matching distribution found for x",
            "network",
        ),
        ("ERROR: No matching distribution found for torch==2.1.2", "not there for this Python"),
        ("HINT: ... this system does not have Windows Long Path support enabled", "too long"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "proxy"),
        ("something new", "last lines above"),
    ],
)
def test_a_failure_of_pip_is_put_into_words(log: str, word: str) -> None:
    assert word in pip_failure(log)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "Couldn't install x.\nstderr: ERROR: Could not find a version that satisfies the requirement x==1 "
            "(from versions: none)\nERROR: No matching distribution found for x==1",
            "the package index could not be reached, or has it not",
        ),
        (
            "ERROR: Could not find a version that satisfies the requirement x==1 (from versions: 0.1, 0.2)\n"
            "ERROR: No matching distribution found for x==1",
            "the package index has it not for this Python",
        ),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "not what was announced"),
        ("Couldn't install x.\nstderr: Traceback\nERROR: something new\n", "something new"),
        ("Command '['python', '-m', 'pip']' returned non-zero exit status 1.", "pip says above why"),
        ("no launcher", "no launcher"),
        ("", "pip installed nothing"),
    ],
)
def test_why_a_webui_could_not_fetch_is_a_phrase(said: str, words: str) -> None:
    assert words in fetch_failure(said)
    assert "\n" not in fetch_failure(said)
