"""install.py with a person: clear, whatever goes wrong. No network, no downloads."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from installing import Project, own_packages_in, write
from lib_upscaler.installation import private
from tools.test_setup import second_gradio

# ---- for a person ---------------------------------------------------------------------------------------------------


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


# ---- what goes wrong -----------------------------------------------------------------------------------------------


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
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    # Where the tests run in the background, the shell has Ctrl-C ignored.
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, cwd=project.user, **options) as process:
        assert any("at work" in line for line in iter(process.stdout.readline, ""))
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=20)
    assert (process.returncode, out, error) == (130, "tidied up\n", "")
