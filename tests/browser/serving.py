"""Starts ``serve_panels.py``, under one gradio or the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.test_setup import second_gradio

__all__ = ["Server"]

_PROGRAM = Path(__file__).resolve().parent / "serve_panels.py"


class Server:
    """A page with our panels.

    address: of the page. gradio: its version. components: what it tells a page about ours, by their ids. events: of our
    components, each with its inputs and outputs. models: the host's folder of networks. log: file of what it says.
    """

    def __init__(self, data: Path, gradio_4: bool) -> None:
        """Skips the test where that gradio is not there."""
        self.models, self.log = data / "models" / "ESRGAN", data / "log.txt"
        paths = [str(second_gradio.FOLDER)] if gradio_4 else []
        environment = {"PYTHONPATH": os.pathsep.join(paths), "GRADIO_TEMP_DIR": str(data / "temp")}
        if not gradio_4:
            pytest.importorskip("gradio", reason="gradio 3 is not to be had for this Python")
        elif second_gradio.lacks():
            pytest.skip(second_gradio.lacks())
        with self.log.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), str(data)],
                env={**os.environ, **environment},
                cwd=data,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        said = self._process.stdout.readline()
        if not said:
            self.stop()
            pytest.fail(self.log.read_text(encoding="utf-8"))
        facts: dict[str, Any] = json.loads(said)
        self.address: str = facts["address"]
        self.gradio: str = facts["gradio"]
        self.components: dict[str, dict[str, Any]] = facts["components"]
        self.events: list[Any] = facts["events"]

    def stop(self) -> None:
        """It ends with its input."""
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()
