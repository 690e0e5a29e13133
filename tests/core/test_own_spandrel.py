"""A spandrel of our own beside the host's: neither knows of the other, and a model is the same on every host."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from lib_upscaler import own_packages
from lib_upscaler.errors import UnsupportedModelError
from lib_upscaler.models import spandrels
from lib_upscaler.models.build import build
from lib_upscaler.models.library import entry_of
from lib_upscaler.models.loader import load_model
from lib_upscaler.models.spandrels import newer_one, spandrel_in_use, versions_in_use
from small_networks import NETWORKS, available, save_pth

ROOT = Path(__file__).resolve().parents[2]


def run(code: str, *words: str, path: tuple[Path, ...] = (ROOT,), **environment: str) -> str:
    """What a Python of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- apart -------------------------------------------------------------------------------------------------------------

TWO_VERSIONS = """
    import sys, threading

    def hosts():
        return {name: module for name, module in sys.modules.items() if name.split(".")[0].startswith("spandrel")}

    def strangers():
        "Modules of ours in which anything comes from the host's copy."
        return [
            name for name, module in list(sys.modules.items()) if name.startswith("_truescale_spandrel")
            for value in vars(module).values() if str(getattr(value, "__module__", "")).startswith("spandrel")
        ]
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host's spandrel of another version, as far as it matters here."""
    package = tmp_path / "host" / "spandrel"
    (package / "util").mkdir(parents=True)
    (package / "__init__.py").write_text("from spandrel.util import WHO\n__version__ = '0.0.1'\n")
    (package / "util" / "__init__.py").write_text("WHO = 'the host'\n")
    return package.parent


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """Packages that import each other in every way there is."""
    files = {
        "spandrel/__init__.py": """
            import spandrel.util
            import spandrel.util.deep as deep
            import os.path, spandrel as itself
            from spandrel.util import WHO
            from .nowhere import thing
            __version__ = "9.9.9"
            through = spandrel.util.WHO
            def later():
                import spandrel.lazy
                from spandrel.lazy import WHO
                return spandrel.lazy.WHO, WHO
            """,
        "spandrel/util/__init__.py": "WHO = 'ours'\n",
        "spandrel/util/deep.py": "from spandrel.util import WHO\n",
        "spandrel/lazy.py": "WHO = 'ours'\n",
        "spandrel/nowhere/thing.py": "from spandrel.util import WHO\n",  # its folder has no __init__.py
        "spandrel_extra_arches/__init__.py": "from spandrel import WHO, __version__\nEXTRA_REGISTRY = ()\n",
    }
    folder = tmp_path / "packages" / own_packages.folder_name()
    for name, code in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(code))
    return folder.parent


@pytest.mark.parametrize("first", ["the host's", "ours"])
def test_both_versions_live_in_one_process(first: str, host: Path, ours: Path) -> None:
    said = run(
        TWO_VERSIONS
        + """
    if sys.argv[1] == "the host's":
        import spandrel
    before = hosts()
    from lib_upscaler.models.spandrels import spandrel_in_use
    found = spandrel_in_use()
    assert hosts() == before, hosts()
    package = found.package
    assert (package.__version__, package.WHO, package.through, package.deep.WHO) == ("9.9.9",) + ("ours",) * 3
    assert package.itself is package and package.thing.WHO == "ours"
    assert package.later() == ("ours", "ours")
    assert (found.extras.WHO, found.extras.__version__) == ("ours", "9.9.9")
    import spandrel
    assert (spandrel.__version__, spandrel.WHO) == ("0.0.1", "the host")
    assert spandrel_in_use().package is package
    print("fine")
        """,
        first,
        path=(ROOT, host),
        TRUESCALE_PACKAGES=str(ours),
    )
    assert said == "fine"


def test_compiled_files_are_used_again_and_are_not_the_packages_own(ours: Path, host: Path) -> None:
    code = "from lib_upscaler.models.spandrels import spandrel_in_use as use; print(use().package.WHO)"
    for _ in range(2):
        said = run(code, path=(ROOT, host), TRUESCALE_PACKAGES=str(ours), PYTHONDONTWRITEBYTECODE="")
        assert said == "ours"
    compiled = list(ours.rglob("*.pyc"))
    assert compiled
    assert all(".truescale" in file.name for file in compiled)
    # The same files, imported plainly, are what they are.
    folder = next(ours.iterdir())
    assert run("import spandrel; print(spandrel.__name__, spandrel.deep.__name__)", path=(folder,)) == (
        "spandrel spandrel.util.deep"
    )


def test_two_threads_load_it_at_once_while_a_third_imports_the_hosts(own_spandrel_folder: Path) -> None:
    said = run(
        TWO_VERSIONS
        + """
    from lib_upscaler.models.spandrels import spandrel_in_use
    found, seen = [], []
    def use():
        found.append(spandrel_in_use().package)
    def host():
        import spandrel, spandrel.architectures.ESRGAN
        seen.append(spandrel)
    threads = [threading.Thread(target=one) for one in (use, host, use, host)]
    [one.start() for one in threads]; [one.join() for one in threads]
    assert len(set(map(id, found))) == 1 and len(set(map(id, seen))) == 1
    assert found[0].__name__ == "_truescale_spandrel" and seen[0] is sys.modules["spandrel"]
    assert strangers() == []
    assert not [name for name, module in hosts().items() if sys.argv[1] in str(getattr(module, "__file__", ""))]
    print("fine")
        """,
        own_spandrel_folder.name,
    )
    assert said == "fine"


def test_it_is_imported_with_the_first_model_and_not_before() -> None:
    said = run(
        """
        import sys
        import lib_upscaler.models.loader, lib_upscaler.running.precision, lib_upscaler.pipeline
        print([name for name in sys.modules if "spandrel" in name.split(".")[0]])
        """
    )
    assert said == "[]"


@pytest.mark.parametrize("host", ["none", "of old", "as pinned"])
def test_a_picture_is_upscaled_and_the_hosts_spandrel_is_never_asked_for(
    host: str, own_spandrel_folder: Path, tmp_path: Path
) -> None:
    """What is there of the host's raises when it is imported."""
    if host != "none":
        (tmp_path / "spandrel").mkdir()
        (tmp_path / "spandrel" / "__init__.py").write_text("raise RuntimeError('imported')")
    if host == "of old":
        (tmp_path / "spandrel-0.1.6.dist-info").mkdir()
        (tmp_path / "spandrel-0.1.6.dist-info" / "METADATA").write_text("Name: spandrel\nVersion: 0.1.6\n")
    said = run(
        """
        import sys

        class Block:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in ("spandrel", "spandrel_extra_arches"):
                    raise ModuleNotFoundError(name)

        if sys.argv[1] == "none":
            sys.meta_path.insert(0, Block())
        from PIL import Image
        from lib_upscaler import ModelLibrary, Upscaler, UpscaleRequest
        from lib_upscaler.models.library import shipped_models
        upscaler = Upscaler(ModelLibrary([], builtin=shipped_models()), device="cpu")
        print(upscaler.upscale(Image.new("RGB", (80, 100)), UpscaleRequest(model="TrueScale 4x")).image.size)
        """,
        host,
        path=(ROOT, tmp_path),
    )
    assert said == "(320, 400)"


# -- what it is good for -----------------------------------------------------------------------------------------------

PLAIN = """
    import sys
    import numpy as np, torch, spandrel
    try:
        import spandrel_extra_arches; spandrel_extra_arches.install()
    except spandrel.DuplicateArchitectureError:
        pass
    picture, version, *states = sys.argv[1:]
    assert spandrel.__version__ == version, spandrel.__version__
    for state in states:
        with torch.inference_mode():
            network = spandrel.ModelLoader("cpu").load_from_file(state).eval().float()
            output = network(torch.from_numpy(np.load(picture)))
        np.save(state + ".npy", output.numpy())
"""
ONLY_THE_NEWEST = ["MoSR-x2", "MoESR-x4", "RCAN-x2", "FDAT-x2", "PLKSR-real-dysample-x2", "SeemoRe-x2"]
ONLY_THE_NEWEST += ["PLKSR-real-layer-norm-x4"]


EVERYWHERE = ["ESRGAN-x4", "Compact-x2", "SwinIR-x2"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture, models, and what this spandrel makes of it in a process that has nothing of ours."""
    packages = own_packages.find()
    if packages is None:
        pytest.skip("needs the packages of our own (python install.py test puts them into their folder)")
    folder = tmp_path_factory.mktemp("plain")
    np.save(folder / "picture.npy", np.random.default_rng(1).random((1, 3, 24, 32), dtype=np.float32))
    states = [str(save_pth(NETWORKS[name].build(), folder / f"{name}.pth")) for name in [*ONLY_THE_NEWEST, *EVERYWHERE]]
    run(PLAIN, str(folder / "picture.npy"), own_packages.pins()["spandrel"], *states, path=(packages,))
    return folder


@pytest.mark.parametrize("name", [*ONLY_THE_NEWEST, *EVERYWHERE])
def test_a_model_gives_what_this_spandrel_gives_in_a_process_without_us(name: str, plain: Path) -> None:
    true = np.load(plain / f"{name}.pth.npy")
    found = load_model(entry_of(plain / f"{name}.pth")).reference(
        torch.from_numpy(np.load(plain / "picture.npy")), lambda: None
    )

    assert found.shape == true.shape
    assert np.abs(found.numpy() - true.clip(0, 1)).max() * 255 < 0.05


@pytest.mark.parametrize("name", ["ESRGAN-x4", "Compact-x2", "SPAN-x4", "DITN-x2", "OmniSR-x2"])
def test_a_model_gives_the_same_with_the_hosts_spandrel(
    name: str, own_spandrel_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = save_pth(NETWORKS[name].build(), tmp_path / "x.pth")
    picture = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    first = load_model(entry_of(path)).reference(picture, lambda: None)
    request.getfixturevalue("only_the_hosts_spandrel")
    assert not spandrel_in_use().is_ours
    second = load_model(entry_of(path)).reference(picture, lambda: None)

    assert (first - second).abs().max() * 255 < 0.05


@pytest.mark.usefixtures("own_spandrel_folder", "only_the_hosts_spandrel")
def test_without_it_a_model_that_needs_it_says_so_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    host = tuple(int(part) for part in versions_in_use()[0].split(".")[:2])
    if host >= (0, 4):
        pytest.skip("the spandrel of the surroundings is new itself")
    assert "MoSR" not in {support.architecture.id for support in spandrel_in_use().registry()}
    for name in ("MoSR-x2", "PLKSR-real-dysample-x2"):
        with pytest.raises(UnsupportedModelError) as caught:
            build(NETWORKS[name].build(), "x")
        assert f"fetches spandrel {own_packages.pins()['spandrel']}" in caught.value.todo
        assert "network" in caught.value.todo


def test_one_that_does_not_load_here_is_left_and_the_hosts_serves(
    tmp_path: Path, only_the_hosts_spandrel: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / own_packages.folder_name() / "spandrel"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("import torch.no_such_thing\n")
    monkeypatch.setenv(own_packages.PACKAGES_VARIABLE, str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    kept = {name: module for name, module in sys.modules.items() if name.startswith("_truescale")}
    try:
        used = spandrel_in_use()
    finally:
        sys.modules.update(kept)

    assert not used.is_ours
    assert used.package is sys.modules["spandrel"]
    assert "no_such_thing" in spandrels._Ours.problem
    if versions_in_use()[0].startswith("0.3"):
        assert "update the WebUI" in newer_one()


def test_nobody_is_sent_for_a_newer_one_where_ours_is_there(own_spandrel_folder: Path) -> None:
    assert newer_one() == ""
    assert versions_in_use() == tuple(own_packages.pins().values())
    assert spandrel_in_use().is_ours
    assert set(ONLY_THE_NEWEST) <= set(available())
