"""Model files damaged at random: no code runs, none takes long or much memory, each is one line that names it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from effort import rounds


def test_damaged_model_files_are_refused_in_words(tmp_path: Path) -> None:
    """400 of them, 2000 with ``--long``: pickles, zip archives, TorchScript and safetensors."""
    number = rounds(2000)
    program = Path(__file__).with_name("fuzzed_models.py")
    command = [sys.executable, str(program), str(tmp_path), str(number)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, (done.returncode, done.stderr[-1500:])
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == []
    assert found["caused"] == [], "nothing in a file is run"
    assert found["grown_mb"] < 300
    assert sum(found["outcomes"].values()) == number
    assert found["outcomes"]["ModelFileError"] > number // 4, "the files are really damaged"
    assert found["outcomes"]["UnsafeModelError"] > 0
