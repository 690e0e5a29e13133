"""A WebUI that was set up before, started and ended by a test; all that it writes goes into a folder of the test's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from webui_abilities import Abilities
from webui_http import Http

__all__ = ["CHECKOUT", "DataFolder", "Host", "Server", "wait_until"]

CHECKOUT = Path(__file__).resolve().parents[2]

_FLAGS = (
    *("--skip-prepare-environment", "--skip-torch-cuda-test", "--skip-version-check", "--disable-console-progressbars"),
    *("--no-half", "--api", "--no-download-sd-model", "--do-not-download-clip"),
)
_ENVIRONMENT = {
    "COMMANDLINE_ARGS": "",
    "CUDA_VISIBLE_DEVICES": "",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "MPLBACKEND": "Agg",
    "NO_PROXY": "127.0.0.1,localhost",
    "no_proxy": "127.0.0.1,localhost",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}
_START_SECONDS = 240
_OUTPUTS = ("txt2img_samples", "img2img_samples", "extras_samples", "txt2img_grids", "img2img_grids", "save")


@dataclass(frozen=True)
class Host:
    """folder: of the WebUI. python: its interpreter."""

    folder: Path
    python: Path

    @property
    def has(self) -> Abilities:
        """What it has and lacks."""
        return Abilities(self.folder)

    @property
    def is_forge(self) -> bool:
        """Forge and its kin, which know a checkpoint by its widths."""
        return self.has.is_forge

    def run(self, *words: str | Path, **more: Any) -> str:
        """What a program run by the WebUI's Python says. Raises CalledProcessError."""
        command = [str(word) for word in (self.python, *words)]
        environment = {**os.environ, **_ENVIRONMENT}
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, **more).stdout


class DataFolder:
    """What ``--data-dir`` names: settings, extensions, models and outputs of one WebUI."""

    def __init__(self, path: Path, fixture: Path, always: Mapping[str, Any] = MappingProxyType({})) -> None:
        """fixture: the folder with the tiny checkpoint. always: settings without which the host does not start."""
        self.path, self._always = path, always
        self.esrgan = path / "models" / "ESRGAN"
        self.extensions = path / "extensions"
        checkpoints = path / "models" / "Stable-diffusion"
        for folder in (self.esrgan, self.extensions, checkpoints, path / "tmp"):
            folder.mkdir(parents=True)
        (checkpoints / "tiny.safetensors").symlink_to(fixture / "tiny.safetensors")
        config = (fixture / "tiny.yaml").read_text(encoding="utf-8")
        (checkpoints / "tiny.yaml").write_text(config.replace("CLIP_DIR", str(fixture / "clip")), encoding="utf-8")
        self.settings()

    def settings(self, **values: Any) -> None:
        """The host's settings; a preview that needs no model file, beside what is given."""
        folders = {f"outdir_{name}": str(self.path / "outputs" / name) for name in _OUTPUTS}  # 1.6: not below data-dir
        content = {"show_progress_type": "Approx cheap", **folders, **self._always, **values}
        (self.path / "config.json").write_text(json.dumps(content), encoding="utf-8")

    def add_models(self, *files: Path) -> None:
        """Copies, since a host may rename what it dislikes."""
        for file in files:
            shutil.copyfile(file, self.esrgan / file.name)

    def install_truescale(self) -> Path:
        """Clone the checkout into the extensions, with what is not committed yet on top."""
        folder = self.extensions / "truescale"
        subprocess.run(
            ["git", "clone", "-q", "--no-hardlinks", "--depth", "1", CHECKOUT.as_uri(), str(folder)], check=True
        )
        listing = ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0"):
            if name and (CHECKOUT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(CHECKOUT / name, folder / name)
        if (CHECKOUT / "packages").is_dir():  # what install.py puts there
            shutil.copytree(CHECKOUT / "packages", folder / "packages", ignore=shutil.ignore_patterns("*.pyc"))
        return folder

    def install_script(self, source: Path) -> None:
        """A script of the test's, as an extension of its own."""
        folder = self.extensions / f"test-{source.stem}" / "scripts"
        folder.mkdir(parents=True)
        shutil.copyfile(source, folder / source.name)

    def install_extension(self, source: Path) -> None:
        """A copy of one that was checked out."""
        shutil.copytree(source, self.extensions / source.name, ignore=shutil.ignore_patterns(".git", "__pycache__"))

    def outputs(self) -> list[Path]:
        """All pictures that the WebUI has saved."""
        return sorted(file for file in (self.path / "outputs").rglob("*") if file.suffix in (".png", ".jpg", ".webp"))


@dataclass
class Server:
    """One run of the WebUI. arguments: of its command line beside the usual ones.

    seconds, processor_seconds: what its start took, by the clock and of all processors' time.
    """

    host: Host
    data: DataFolder
    arguments: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    processor_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.port = _free_port()
        self.http = Http(self.port)
        self.log_file = self.data.path / f"log-{self.port}.txt"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Until the WebUI says that it has started; ``seconds`` is the time that took."""
        has = self.host.has
        words = ["launch.py", *has.known(_FLAGS), *has.on_the_processor]
        words += ["--port", str(self.port), "--data-dir", str(self.data.path)]
        if has.is_forge:  # which refuses its own page's scripts if the data lie elsewhere
            words += ["--gradio-allowed-path", str(self.host.folder)]
        environment = {**os.environ, **_ENVIRONMENT, "TMPDIR": str(self.data.path / "tmp"), **self.environment}
        environment.setdefault("OMP_NUM_THREADS", "1")
        started = time.monotonic()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.host.python), *words, *self.arguments],
                cwd=self.host.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self.wait_for_log("Startup time:", _START_SECONDS)
        self.seconds, self.processor_seconds = time.monotonic() - started, self._processor_seconds()
        # Not asked before: the host adds to its API after it has begun to serve, which a request in between ends.
        wait_until(self.http.answers, 30, lambda: self.log[-3000:])
        if has.loads_at_start:
            self.wait_for_log("Model loaded in", _START_SECONDS)

    def _processor_seconds(self) -> float:
        """Of the process, and of those that it started and that have ended."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_for_log(self, words: str, seconds: float, after: int = 0) -> str:
        """The log behind its first ``after`` characters, as soon as the words stand in it."""
        return wait_until(lambda: self._log_with(words, after), seconds, lambda: f"no {words!r} in {self.log[-3000:]}")

    def _log_with(self, words: str, after: int) -> str | None:
        if self._process.poll() is not None:
            raise AssertionError(f"the WebUI has ended with {self._process.returncode}: {self.log[-3000:]}")
        text = self.log[after:]
        return text if words in text else None


def wait_until(found: Callable[[], Any], seconds: float, otherwise: Callable[[], str]) -> Any:
    """The first answer of ``found`` that is not empty. Raises AssertionError with the words of ``otherwise``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(otherwise())


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
