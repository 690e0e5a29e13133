"""What the tests of large folders have in common: folders of pictures, a network, commands in their own processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from small_networks import compact, save_pth

__all__ = ["ROOT", "WORDS", "bytes_in", "command", "environment", "network", "noise", "pixels_in", "rows", "states"]

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["--models-dir", "models", "--model", "net", "--precision", "exact", "--device", "cpu"]


def noise(folder: str | Path, count: int, width: int = 24, height: int = 20, first: int = 0) -> list[Path]:
    """Pictures that are all different."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04}.png" for number in range(first, first + count)]
    for number, path in enumerate(paths, first):
        grain = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(grain).save(path)
    return paths


def network(layers: int = 1, features: int = 16, seed: int = 0) -> None:
    """``models/net.pth``, which doubles."""
    Path("models").mkdir(exist_ok=True)
    save_pth(compact(2, layers=layers, features=features, seed=seed), Path("models/net.pth"))


def command(*words: object, device: str = "cpu") -> list[str]:
    """``upscale`` with these words, as a program."""
    settings = [*WORDS[:-1], device] if "--resume" not in words else ["--device", device]
    return [sys.executable, "-m", "lib_upscaler", "upscale", *map(str, words), *settings]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(*words: object, device: str = "cpu", **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words, device=device), env=environment(), capture_output=True, text=True, check=False, **more
    )


def rows(journal: str | Path, columns: str, where: str = "1") -> list[tuple]:
    """What stands in a journal, in order."""
    base = sqlite3.connect(journal)
    try:
        return base.execute(f"SELECT {columns} FROM pictures WHERE {where} ORDER BY number").fetchall()
    finally:
        base.close()


def states(journal: str | Path) -> dict[str, int]:
    base = sqlite3.connect(journal)
    try:
        return dict(base.execute("SELECT state, COUNT(*) FROM pictures GROUP BY state").fetchall())
    finally:
        base.close()


def bytes_in(folder: str | Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones included, by their names below it."""
    folder = Path(folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels_in(folder: str | Path, names: Sequence[str]) -> list[np.ndarray]:
    return [np.asarray(Image.open(Path(folder) / name)) for name in names]
