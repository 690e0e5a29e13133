"""install.py in a WebUI: harmless and quick. No network, no downloads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from installing import copy_project, own_packages_in, write
from lib_upscaler import own_packages

HOST_PACKAGES = {
    "torch": "2.1.2",
    "torchvision": "0.16.2",
    "numpy": "1.26.2",
    "PIL": "9.5.0",
    "einops": "0.4.1",
    "safetensors": "0.4.2",
    "typing_extensions": "4.8.0",
    "tqdm": "4.66.1",
    "psutil": "5.9.5",
    "filelock": "3.13.1",
    "spandrel": "0.3.4",
    "spandrel_extra_arches": "0.1.1",
}


class Host:
    """A stand-in for a WebUI's Python: packages that must not be imported, `launch` and `pip` that note their calls."""

    def __init__(
        self,
        folder: Path,
        without: tuple[str, ...] = (),
        versions: dict[str, str] | None = None,
        has_ours: bool = True,
    ) -> None:
        self.folder = folder
        self.extension = folder / "extensions" / "TrueScale"
        copy_project(self.extension)
        self.ours = self.extension / "packages" / own_packages.folder_name()
        if has_ours:
            own_packages_in(self.ours)
        self.calls = folder / "calls.txt"
        for name, version in {**HOST_PACKAGES, **(versions or {})}.items():
            if name not in without:
                write(folder / name / "__init__.py", "raise RuntimeError('imported at the start of a WebUI')")
                write(folder / f"{name}-{version}.dist-info" / "METADATA", f"Name: {name}\nVersion: {version}\n")
        note = f"open({str(self.calls)!r}, 'a').write"
        write(folder / "pip" / "__init__.py", "")
        write(
            folder / "pip" / "__main__.py", f"import sys; {note}('pip ' + ' '.join(sys.argv[1:]) + '\\n'); sys.exit(1)"
        )
        self.launch(f"{note}('launch ' + command + '\\n')")

    def launch(self, body: str) -> None:
        """What `launch.run_pip` does."""
        write(self.folder / "launch.py", f"import os\ndef run_pip(command, desc=None):\n    {body}\n")

    def puts_our_packages(self) -> None:
        """From now on the WebUI's pip works: it copies what is ready into the folder that it is told."""
        ready = own_packages_in(self.folder / "ready")
        note = f"open({str(self.calls)!r}, 'a').write('launch ' + command + '\\n')"
        words = "words = shlex.split(command)"
        copy = f"shutil.copytree({str(ready)!r}, words[words.index('--target') + 1], dirs_exist_ok=True)"
        self.launch(f"import shlex, shutil; {note}; {words}; {copy}")

    def start(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run install.py as a WebUI does; -S: nothing of this test's own Python is seen."""
        return subprocess.run(
            [sys.executable, "-S", str(self.extension / "install.py")],
            env={**os.environ, **environment, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def pip_calls(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


def test_a_complete_webui_is_left_alone_in_silence(tmp_path: Path) -> None:
    host = Host(tmp_path)
    result = host.start()
    assert (result.returncode, result.stdout, result.stderr, host.pip_calls()) == (0, "", "", [])


@pytest.mark.alone
def test_the_start_of_a_webui_is_not_slowed(tmp_path: Path) -> None:
    host = Host(tmp_path)
    seconds = []
    for _ in range(10):  # the machine may be busy with something else
        begin = time.perf_counter()
        host.start()
        seconds.append(time.perf_counter() - begin)
        if seconds[-1] < 0.5:
            break
    assert min(seconds) < 0.5


@pytest.mark.parametrize("version", ["0.1.6", "0.3.4", "0.4.0", "1.0rc1", ""])
def test_a_webuis_spandrel_is_neither_touched_nor_added(tmp_path: Path, version: str) -> None:
    without = ("spandrel_extra_arches",) if version else ("spandrel", "spandrel_extra_arches")
    host = Host(tmp_path, without=without, versions={"spandrel": version or "0"})
    result = host.start()
    assert (result.returncode, result.stdout, host.pip_calls()) == (0, "", [])


@pytest.mark.parametrize("version", ["", "0.1.6", "0.3.4"])
def test_a_spandrel_of_our_own_is_put_into_the_extensions_folder_once(tmp_path: Path, version: str) -> None:
    without = () if version else ("spandrel", "spandrel_extra_arches")
    host = Host(tmp_path, without=without, versions={"spandrel": version or "0"}, has_ours=False)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("spandrel*/*")}
    host.puts_our_packages()
    first, second = host.start(PIP_USER="1"), host.start()

    (call,) = host.pip_calls()
    assert call.startswith("launch install --no-deps --require-hashes --only-binary :all: ")
    assert call.endswith(f" -r {host.extension / 'lib_upscaler' / 'own_packages.txt'}")
    assert (host.ours / "spandrel" / "__init__.py").is_file()
    assert [path.name for path in host.ours.parent.iterdir()] == [host.ours.name]
    assert (first.returncode, first.stdout, second.stdout) == (0, "", "")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("spandrel*/*")} == before


def test_it_lies_in_the_webuis_data_folder_where_the_extensions_is_read_only(tmp_path: Path) -> None:
    host = Host(tmp_path, has_ours=False)
    host.puts_our_packages()
    write(host.extension / "packages", "a file in the way, as a folder that cannot be written to would be")
    host.start()

    assert (tmp_path / "truescale-packages" / host.ours.name / "spandrel" / "__init__.py").is_file()
    assert host.start().stdout == ""
    assert len(host.pip_calls()) == 1


def test_an_update_takes_the_old_versions_away_and_leaves_what_is_not_ours(tmp_path: Path) -> None:
    host = Host(tmp_path, has_ours=False)
    host.puts_our_packages()
    for name in ("spandrel-0.0.1-0.0.1", "mine"):
        write(host.ours.parent / name / "a file", "")
    host.start()

    assert sorted(path.name for path in host.ours.parent.iterdir()) == ["mine", host.ours.name]


@pytest.mark.parametrize("failure", ["raise RuntimeError('no network')", "raise SystemExit(1)", "return None"])
@pytest.mark.parametrize("version", ["0.3.4", "0.1.6", ""])
def test_a_first_start_without_a_network_is_told_and_goes_on(tmp_path: Path, failure: str, version: str) -> None:
    without = () if version else ("spandrel", "spandrel_extra_arches")
    host = Host(tmp_path, without=without, versions={"spandrel": version or "0"}, has_ours=False)
    host.launch(failure)
    result = host.start()

    assert (result.returncode, result.stderr) == (0, "")
    assert f"could not fetch spandrel {own_packages.pins()['spandrel']}" in result.stdout
    assert ("serves the others" in result.stdout) == (version == "0.3.4")
    assert ("will not work until" in result.stdout) == (version != "0.3.4")
    assert not list(host.ours.parent.iterdir())
    host.puts_our_packages()
    assert host.start().stdout == ""
    assert host.ours.is_dir()


def test_half_of_our_packages_are_none(tmp_path: Path) -> None:
    host = Host(tmp_path, has_ours=False)
    host.puts_our_packages()
    shutil.rmtree(tmp_path / "ready" / "spandrel_extra_arches")
    assert "could not fetch" in host.start().stdout
    assert not list(host.ours.parent.iterdir())


@pytest.mark.parametrize("python", [(3, 9), (3, 10), (3, 14)])
def test_our_packages_are_pinned_with_hashes_for_each_python(python: tuple[int, int]) -> None:
    expected = ("0.3.4", "0.1.1") if python < (3, 10) else ("0.4.2", "0.2.0")
    assert tuple(own_packages.pins(python).values()) == expected
    lines = [line for line in own_packages.PIN_FILE.read_text().splitlines() if not line.startswith("#")]
    chosen = [Requirement(line.partition(" --hash=sha256:")[0]) for line in lines]
    assert all(len(line.partition(" --hash=sha256:")[2]) == 64 for line in lines)
    version = ".".join(map(str, python))
    applying = [one for one in chosen if one.marker is None or one.marker.evaluate({"python_version": version})]
    assert {one.name: str(one.specifier)[2:] for one in applying} == own_packages.pins(python)


def test_small_packages_are_added_where_they_are_missing(tmp_path: Path) -> None:
    host = Host(tmp_path, without=("einops", "psutil"))
    host.start()
    (call,) = host.pip_calls()
    assert "--no-deps" in call.split()
    assert call.endswith(" einops psutil")


@pytest.mark.parametrize("launcher", ["import gone", "raise SystemExit(2)", "x = 1"])
def test_plain_pip_where_the_webui_has_no_launcher_that_works(tmp_path: Path, launcher: str) -> None:
    host = Host(tmp_path, without=("einops",))
    write(tmp_path / "launch.py", launcher)
    result = host.start()
    (call,) = host.pip_calls()
    assert call.startswith("pip install --no-deps ")
    assert call.endswith(" einops")
    assert result.returncode == 0


@pytest.mark.parametrize("failure", ["raise RuntimeError('no network')", "raise SystemExit(1)", "return None"])
def test_a_failed_install_is_told_and_does_not_stop_the_start(tmp_path: Path, failure: str) -> None:
    host = Host(tmp_path, without=("einops",))
    host.launch(failure)
    result = host.start()
    assert result.returncode == 0
    assert result.stderr == ""
    assert "could not install einops" in result.stdout
    assert "pip install --no-deps einops" in result.stdout


def test_nothing_is_installed_into_a_python_that_is_no_webuis(tmp_path: Path) -> None:
    host = Host(tmp_path, without=("torch", "spandrel"), has_ours=False)
    result = host.start()
    assert result.returncode == 0
    assert host.pip_calls() == []
    assert not host.ours.exists()
    assert "lacks torch" in result.stdout
    assert "install.py upscale PICTURE" in result.stdout
