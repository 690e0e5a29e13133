"""Which browser the tests get, and what is installed for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from installing import write
from tools.test_setup import browser
from tools.test_setup.browser import NoBrowserError, find_browser, install_browser


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
