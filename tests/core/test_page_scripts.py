"""``install.py check`` over the page's scripts: with a node that lints, that cannot install, that is old, or is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.page_scripts import check_scripts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins for node and npm are shell scripts")

NPM = """#!/bin/sh
echo "$1" >> "{log}"
case "$1" in
    ci) [ {ci} = 0 ] && mkdir -p node_modules; exit {ci};;
    run) exit {run};;
esac
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package-lock.json, on a machine without node."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "package-lock.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: str(file) if (file := tmp_path / "bin" / name).exists() else None)
    return tmp_path


def _with_node(project: Path, version: str = "v20.9.0", ci: int = 0, run: int = 0) -> None:
    npm = NPM.format(log=project / "log", ci=ci, run=run)
    for name, code in (("node", f"#!/bin/sh\necho {version}\n"), ("npm", npm)):
        file = project / "bin" / name
        file.write_text(code, encoding="utf-8")
        file.chmod(0o755)


def _did(project: Path) -> list[str]:
    log = project / "log"
    return log.read_text(encoding="utf-8").split() if log.exists() else []


def test_without_node_it_is_skipped_in_a_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_scripts(project) == 0
    assert capsys.readouterr().out.count("skipped") == 1


def test_with_an_old_node_it_is_skipped_in_a_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _with_node(project, "v16.20.2")
    assert check_scripts(project) == 0
    assert "18.18" in capsys.readouterr().out
    assert _did(project) == []


def test_offline_it_is_skipped_in_a_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _with_node(project, ci=1, run=1)
    assert check_scripts(project) == 0
    assert "skipped" in capsys.readouterr().out
    assert _did(project) == ["ci"]


@pytest.mark.parametrize("status", [0, 1])
def test_what_lint_finds_fails_the_check(status: int, project: Path) -> None:
    _with_node(project, run=status)
    assert check_scripts(project) == status
    assert _did(project) == ["ci", "run"]


def test_they_are_installed_once_for_each_list(project: Path) -> None:
    _with_node(project)
    check_scripts(project)
    check_scripts(project)
    assert _did(project) == ["ci", "run", "run"]
    (project / "package-lock.json").write_text('{"newer": 1}', encoding="utf-8")
    check_scripts(project)
    assert _did(project)[3:] == ["ci", "run"]
