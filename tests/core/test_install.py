"""install.py: harmless and quick in a WebUI, and clear with a person. No network, no downloads."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from PIL import Image

from lib_upscaler import own_packages
from lib_upscaler.installation import private
from lib_upscaler.installation.explain import fetch_failure, hints, pip_failure, sizes, unsupported
from lib_upscaler.installation.requirements import requirements
from tools.test_setup import browser, second_gradio
from tools.test_setup.browser import NoBrowserError, find_browser, install_browser

ROOT = Path(__file__).resolve().parents[2]
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


def write(path: Path, code: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(code), encoding="utf-8")


# ---- in a WebUI -----------------------------------------------------------------------------------------------------


def copy_project(root: Path) -> None:
    """As much of the project as install.py needs."""
    for part in (Path("lib_upscaler", "installation"), Path("tools")):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__py*"))
    for name in ("install.py", "pyproject.toml", "lib_upscaler/own_packages.py", "lib_upscaler/own_packages.txt"):
        shutil.copy(ROOT / name, root / name)
    write(root / "lib_upscaler" / "__init__.py", "")


def own_packages_in(folder: Path) -> Path:
    """What pip makes of own_packages.txt, as far as it matters here."""
    for package, version in own_packages.pins().items():
        write(folder / package / "__init__.py", f"__version__ = {version!r}\n")
        write(folder / f"{package}-{version}.dist-info" / "METADATA", f"Name: {package}\nVersion: {version}\n")
    return folder


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


# ---- for a person ---------------------------------------------------------------------------------------------------


class Project:
    """A copy of the project with a stand-in for `lib_upscaler`, and a .venv in which pip notes its calls."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my tools" / "TrueScale"
        copy_project(self.root)
        self.ours = own_packages_in(self.root / "packages" / own_packages.folder_name())
        self.upscaler("import json, os, sys; print(json.dumps([os.getcwd(), sys.argv[1:]])); sys.exit(7)")
        self.venv = self.root / ".venv"
        self.calls = folder / "calls.txt"
        self.user = folder / "user"
        self.user.mkdir()

    def upscaler(self, code: str) -> None:
        """What `python -m lib_upscaler` does."""
        write(self.root / "lib_upscaler" / "__main__.py", code)

    def make_venv(self, pip: str = "", stamped: bool = True) -> None:
        """A virtual environment with empty modules, as far as an interrupted set-up may come."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.venv)], check=True)
        site = next(self.venv.rglob("site-packages"))
        for names in private.MODULES.values():
            for name in names:
                write(site / f"{name}.py", "")
        write(site / "pip" / "__init__.py", "")
        write(
            site / "pip" / "__main__.py",
            f"import json, sys\nopen({str(self.calls)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n{pip}\n",
        )
        if stamped:
            write(self.venv / "truescale.json", "{}")

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.root / "install.py"), *words],
            cwd=self.user,
            env={**os.environ, "PIP_NO_INDEX": "1", "TRUESCALE_NO_BROWSER": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def pip_calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.calls.read_text().splitlines()] if self.calls.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize("words", [["upscale", "--overwrite"], ["upscail", "a.png"]])
def test_wrong_use_is_answered_with_the_usage_and_nothing_is_set_up(project: Project, words: list[str]) -> None:
    result = project.run(*words)
    assert result.returncode == 2
    assert "install.py upscale PICTURE" in result.stderr
    assert not project.venv.exists()


@pytest.mark.parametrize("words", [["--help"], ["upscale", "--help"]])
def test_help_needs_no_download(project: Project, words: list[str]) -> None:
    result = project.run(*words)
    assert result.returncode == 0
    assert "install.py upscale PICTURE" in result.stdout
    assert not project.venv.exists()


def test_without_a_picture_a_sample_is_enlarged_and_nothing_is_overwritten(project: Project) -> None:
    project.make_venv()
    project.upscaler("import sys; assert sys.argv[3] == '-o' and not open(sys.argv[4], 'x').close()")
    first, second = project.run("upscale"), project.run("upscale")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert sorted(path.name for path in project.user.iterdir()) == ["truescale-sample-2.png", "truescale-sample.png"]
    assert str(project.root / "docs" / "sample.png") in first.stdout
    assert str(project.user / "truescale-sample.png") in first.stdout
    assert "install.py upscale PICTURE" in first.stdout


def test_the_sample_is_a_small_picture() -> None:
    with Image.open(private.SAMPLE) as sample:
        assert max(sample.size) <= 256
        assert sample.mode == "RGB"


def test_upscale_runs_in_the_users_folder_and_passes_options_and_status_on(project: Project) -> None:
    project.make_venv()
    result = project.run("upscale", "my picture.png", "--scale", "2")
    assert result.returncode == 7
    folder, words = json.loads(result.stdout.splitlines()[-1])
    assert Path(folder).samefile(project.user)
    assert words == ["upscale", "my picture.png", "--scale", "2"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="older Pythons cannot be told not to import from there")
def test_the_users_folder_is_no_place_to_import_from(project: Project) -> None:
    project.make_venv()
    write(project.user / "lib_upscaler.py", "raise SystemExit('the wrong one')")
    assert project.run("upscale", "a.png").returncode == 7


def test_the_environment_is_set_up_once(project: Project) -> None:
    project.make_venv()
    assert "up to date" in project.run("upscale", "a.png").stdout
    second = project.run("upscale", "a.png")
    assert len(second.stdout.splitlines()) == 1  # the job's own line
    assert len(project.pip_calls()) == 1


def test_our_packages_are_put_beside_the_environment(project: Project) -> None:
    shutil.rmtree(project.ours)
    copy = "shutil.copytree(os.environ['READY'], sys.argv[sys.argv.index('--target') + 1], dirs_exist_ok=True)"
    project.make_venv(pip=f"import os, shutil\nif '--target' in sys.argv: {copy}")
    ready = own_packages_in(project.user / "ready")
    for _ in range(2):
        assert project.run("upscale", "a.png", READY=str(ready)).returncode == 7
    _environment, ours = project.pip_calls()
    assert "--require-hashes" in ours
    assert (project.ours / "spandrel" / "__init__.py").is_file()


def test_upscaling_goes_on_where_our_packages_cannot_be_had(project: Project) -> None:
    shutil.rmtree(project.ours)
    project.make_venv()
    result = project.run("upscale", "a.png")
    assert result.returncode == 7
    assert "could not fetch spandrel" in result.stdout


def test_upscale_installs_the_runtime_and_test_all_of_it(project: Project) -> None:
    project.make_venv()
    project.run("upscale", "a.png")
    project.run("test")
    project.run("upscale", "a.png")
    runtime, everything, *rest = project.pip_calls()
    assert "torch==2.1.2; python_version < '3.12'" in runtime
    assert not any(word.startswith(("gradio", "pytest")) for word in runtime)
    assert set(runtime) < set(everything)
    assert {"gradio", "pytest"} <= {re.split(r"[=>]", word)[0] for word in everything}
    assert len(rest) == (1 if second_gradio.why_not_here() == "" else 0)


@pytest.mark.skipif(second_gradio.why_not_here() != "", reason="gradio 4 is not tried with this Python")
def test_the_second_gradio_is_added_once_and_apart(project: Project) -> None:
    project.make_venv()
    project.run("test")
    project.run("test")
    _, second = project.pip_calls()
    folder = Path(second[second.index("--target") + 1])
    assert folder.samefile(project.venv / "gradio4")
    assert "--no-deps" in second
    assert "gradio==4.40.0" in second
    assert not any(word.startswith(("torch", "numpy")) for word in second)


@pytest.mark.skipif(second_gradio.why_not_here() != "", reason="gradio 4 is not tried with this Python")
def test_tests_run_where_the_second_gradio_cannot_be_had(project: Project) -> None:
    project.make_venv(pip="sys.exit(1 if '--target' in sys.argv else 0)")
    result = project.run("test")
    assert "the tests with gradio 4 will be skipped" in result.stdout
    assert result.returncode == 0
    project.run("test")
    assert len(project.pip_calls()) == 3  # tried again


# ---- the browser of the tests ---------------------------------------------------------------------------------------


def program(path: Path, shell: str = "exit 0") -> Path:
    """A script that can be started by its name."""
    write(path, f"#!/bin/sh\n{shell}\n")
    path.chmod(0o755)
    return path


posix = pytest.mark.skipif(os.name == "nt", reason="scripts of a POSIX shell stand in for browsers")


@posix
def test_the_first_browser_that_runs_is_taken(tmp_path: Path) -> None:
    program(tmp_path / "chromium-browser", "echo 'requires the chromium snap to be installed'; exit 1")
    chrome = program(tmp_path / "google-chrome")
    assert find_browser("linux", {"PATH": str(tmp_path)}) == str(chrome)
    chromium = program(tmp_path / "chromium")
    assert find_browser("linux", {"PATH": str(tmp_path)}) == str(chromium)


def test_browsers_of_windows_and_of_a_mac_are_found_in_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = tmp_path / "x86" / "Microsoft" / "Edge" / "Application" / "msedge.exe"
    write(edge, "")
    windows = {"PROGRAMFILES": str(tmp_path / "x64"), "PROGRAMFILES(X86)": str(tmp_path / "x86"), "PATH": ""}
    assert Path(find_browser("win32", windows)) == edge
    chrome = tmp_path / "x64" / "Google" / "Chrome" / "Application" / "chrome.exe"
    write(chrome, "")
    assert Path(find_browser("win32", windows)) == chrome
    monkeypatch.setattr(browser, "MAC_PLACES", (str(tmp_path / "none"), str(edge)))
    assert find_browser("darwin", {"PATH": str(tmp_path)}) == str(edge)


@posix
def test_a_browser_can_be_named_or_left_out(tmp_path: Path) -> None:
    program(tmp_path / "chromium")
    named = program(tmp_path / "my browser")
    places = {"PATH": str(tmp_path)}
    assert find_browser("linux", {**places, "TRUESCALE_BROWSER": str(named)}) == str(named)
    with pytest.raises(NoBrowserError, match="gone, which TRUESCALE_BROWSER names"):
        find_browser("linux", {**places, "TRUESCALE_BROWSER": str(tmp_path / "gone")})
    with pytest.raises(NoBrowserError, match="TRUESCALE_NO_BROWSER is set"):
        find_browser("linux", {**places, "TRUESCALE_NO_BROWSER": "1"})
    with pytest.raises(NoBrowserError, match="no Chromium, Chrome or Edge was found"):
        find_browser("linux", {"PATH": str(tmp_path / "empty")})


class Debian:
    """A stand-in for a Debian system: an apt-get that notes its calls and "installs" chromium."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.bin, self.calls, self.said = folder / "bin", folder / "apt.txt", []
        self.release = folder / "os-release"
        made = f"'{self.bin}/chromium'"
        self.apt(
            f'case "$*" in *update|*--download-only*) ;; *) echo "#!/bin/sh" > {made}; /bin/chmod +x {made};; esac'
        )
        write(self.release, 'ID="debian"\n')
        patch.setattr(browser, "OS_RELEASE", self.release)
        patch.setattr(os, "geteuid", lambda: 0)
        patch.setattr(sys, "platform", "linux")
        patch.setenv("PATH", str(self.bin))
        for name in ("TRUESCALE_BROWSER", "TRUESCALE_NO_BROWSER"):
            patch.delenv(name, raising=False)

    def apt(self, shell: str) -> None:
        program(self.bin / "apt-get", f"echo \"$*\" >> '{self.calls}'\n{shell}")

    def install(self) -> list[str]:
        """The calls of apt-get that this led to."""
        install_browser(self.said.append)
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    return Debian(tmp_path, monkeypatch)


@posix
def test_debians_chromium_is_installed_once(debian: Debian) -> None:
    update, download, install = debian.install()
    assert update.endswith("update")
    assert download.endswith("--download-only chromium")
    assert install.endswith("--no-install-recommends chromium")
    assert len(debian.said) == 1
    assert find_browser() == str(debian.bin / "chromium")
    assert len(debian.install()) == 3


@posix
def test_a_browser_that_cannot_be_installed_is_only_told(debian: Debian) -> None:
    debian.apt("echo 'E: Unable to locate package chromium'; exit 100")
    assert len(debian.install()) == 1
    assert "will be skipped" in debian.said[-1]
    assert "Unable to locate package" in debian.said[-1]


@posix
def test_an_apt_that_hangs_is_given_up(debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    debian.apt("exec /bin/sleep 60")
    monkeypatch.setattr(browser, "APT_STEPS", ((("apt-get", "update"), 0.5),))
    debian.install()
    assert "timed out" in debian.said[-1]


@posix
@pytest.mark.parametrize("hindrance", ["not root", "Ubuntu", "no Debian", "left out", "another one is named"])
def test_nothing_is_installed_where_it_must_not_be(
    debian: Debian, hindrance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if hindrance == "not root":
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    elif hindrance == "Ubuntu":
        write(debian.release, "ID=linuxmint\nID_LIKE='ubuntu debian'\n".replace("'", '"'))
    elif hindrance == "no Debian":
        debian.release.unlink()
    elif hindrance == "left out":
        monkeypatch.setenv("TRUESCALE_NO_BROWSER", "1")
    else:
        monkeypatch.setenv("TRUESCALE_BROWSER", "/nowhere/chrome")
    assert debian.install() == []


def test_changed_requirements_bring_the_environment_up_to_date(project: Project) -> None:
    project.make_venv()
    project.run("upscale", "a.png")
    pyproject = project.root / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text(encoding="utf-8").replace("einops==0.4.1", "einops==0.8.0"), encoding="utf-8"
    )
    project.run("upscale", "a.png")
    assert "einops==0.8.0" in project.pip_calls()[1]


def test_a_package_that_got_lost_is_put_back(project: Project) -> None:
    project.make_venv()
    project.run("upscale", "a.png")
    lost = next(project.venv.rglob("site-packages")) / "torch.py"
    lost.unlink()
    pip = lost.parent / "pip" / "__main__.py"
    pip.write_text(pip.read_text() + f"open({str(lost)!r}, 'w').close()\n")
    assert project.run("upscale", "a.png").returncode == 7
    assert len(project.pip_calls()) == 2


def test_a_failed_download_is_explained_and_nothing_runs(project: Project) -> None:
    log = "open(sys.argv[sys.argv.index('--log') + 1], 'w').write('ERROR: [Errno 28] No space left on device')"
    project.make_venv(pip=f"{log}\nsys.exit(1)")
    result = project.run("upscale", "a.png")
    assert result.returncode == 1
    assert "the disk is full" in result.stderr
    assert "Traceback" not in result.stderr
    assert json.loads((project.venv / "truescale.json").read_text()) == {}  # tried again next time


def test_an_environment_of_somebody_else_is_not_touched(project: Project) -> None:
    project.make_venv(stamped=False)
    result = project.run("upscale", "a.png")
    assert result.returncode == 1
    assert "did not make" in result.stderr
    assert project.pip_calls() == []
    assert (project.venv / "pyvenv.cfg").exists()


def test_files_in_the_way_are_not_deleted(project: Project) -> None:
    write(project.venv / "notes.txt", "mine")
    assert project.run("upscale", "a.png").returncode == 1
    assert (project.venv / "notes.txt").read_text() == "mine"


def test_a_half_made_environment_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = tmp_path / "a folder" / ".venv"
    write(venv / "truescale.json", "{}")
    write(venv / "lib" / "half a package.py", "")
    monkeypatch.setattr(private, "VENV", venv)
    monkeypatch.setattr(private, "STAMP", venv / "truescale.json")
    monkeypatch.setattr(private, "MODULES", {"upscale": ("json",)})
    monkeypatch.setattr(private, "sizes", lambda *facts: (0.0, 0.0))
    installed = []
    monkeypatch.setattr(private, "install_packages", installed.append)
    private.make_ready("upscale")
    assert private.is_ready("upscale")
    assert installed == ["upscale"]
    assert not (venv / "lib" / "half a package.py").exists()
    assert private.runs_in_venv("import sys; sys.exit(sys.prefix == sys.base_prefix)")


def test_too_little_room_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(private, "STAMP", tmp_path / ".venv" / "truescale.json")
    monkeypatch.setattr(private, "sizes", lambda *facts: (1e6, 1e6))
    with pytest.raises(private.SetupError, match=r"needs 2000000\.0 GB"):
        private.make_ready("upscale")
    assert not (tmp_path / ".venv").exists()


@pytest.mark.skipif(os.name == "nt", reason="sends signals as a POSIX terminal does")
def test_ctrl_c_lets_the_job_tidy_up(project: Project) -> None:
    project.make_venv()
    project.upscaler(
        """
        import sys, time
        try:
            print("at work", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            time.sleep(0.5)
            print("tidied up", flush=True)
            sys.exit(130)
        """
    )
    command = [sys.executable, str(project.root / "install.py"), "upscale", "a.png"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=project.user, start_new_session=True, **streams) as process:
        assert any("at work" in line for line in iter(process.stdout.readline, ""))
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=20)
    assert (process.returncode, out, error) == (130, "tidied up\n", "")


# ---- which versions -------------------------------------------------------------------------------------------------

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
