"""What the benchmarks share: jobs in processes of their own, peak memory, pictures, models, tables."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
for folder in (ROOT, ROOT / "tests" / "core"):  # the scripts run by their paths
    sys.path.insert(0, str(folder))

MEBIBYTE = 1 << 20


# -- processes ---------------------------------------------------------------------------------------------------------


def in_child(script: str, job: dict[str, Any], cache: Path | None = None) -> dict[str, Any]:
    """Run ``script --child JOB`` in a new process; what it gives to ``answer``, or {"error": ...}.

    A process of its own starts with a clean heap, so that neither time nor memory depends on what ran before.
    cache: the folder for probes that it shall use.
    """
    environment = dict(os.environ)
    if cache is not None:
        environment["TRUESCALE_CACHE"] = str(cache)
    done = subprocess.run(
        [sys.executable, script, "--child", json.dumps(job)], stdout=subprocess.PIPE, env=environment, check=False
    )
    if done.returncode:
        return {"error": f"ended with {done.returncode}"}  # -9: the system ran out of memory
    return json.loads(done.stdout.decode().splitlines()[-1])


def answer(result: dict[str, Any]) -> None:
    """The child's last line."""
    print(json.dumps(result), flush=True)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models-dir", type=Path, default=SHARED / "models", help="default: ../shared/models")
    parser.add_argument("--threads", type=int, help="of torch; default: torch's own choice")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all that was measured here")


def use_threads(count: int | None) -> None:
    if count:
        torch.set_num_threads(count)


def synchronise(device: str) -> None:
    """Wait for what still runs on a GPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


# -- memory ------------------------------------------------------------------------------------------------------------


class PeakMemory:
    """The most memory that was taken above what there was when this was made.

    On CUDA torch's own count. On the CPU the resident memory of the process: the kernel's peak (VmHWM), which is set
    back through /proc/self/clear_refs; elsewhere what Windows and macOS say of the whole life of the process.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._cuda = device if device.startswith("cuda") else None
        self._start = torch.cuda.memory_allocated(device) if self._cuda else psutil.Process().memory_info().rss
        self._highest = self._start

    def restart(self) -> None:
        """Leave out the peaks so far, such as that of a warm-up."""
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._cuda)
        elif Path("/proc/self/clear_refs").exists():
            Path("/proc/self/clear_refs").write_text("5")

    def look(self) -> int:
        """Bytes, of all looks so far. The engine sets the kernel's peak back too, so look before and after each run."""
        self._highest = max(self._highest, self._peak())
        return self._highest - self._start

    def _peak(self) -> int:
        if self._cuda:
            return torch.cuda.max_memory_allocated(self._cuda)
        status = Path("/proc/self/status")
        if status.exists():
            words = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:")).split()
            return int(words[1]) * 1024
        if sys.platform == "win32":
            return psutil.Process().memory_info().peak_wset
        import resource  # not on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts in bytes


# -- what is run -------------------------------------------------------------------------------------------------------


def model_files(folder: Path, scratch: Path, only: str | None = None) -> list[Path]:
    """The models in ``folder``; small random ones, made in ``scratch``, where there are none.

    only: the name of one, or a part of the names of several.
    """
    suffixes = (".pth", ".pt", ".ckpt", ".safetensors")
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in suffixes) if folder.is_dir() else []
    if not files:
        import small_networks

        print(f"no models in {folder}: using small random networks", file=sys.stderr)
        states = {
            "random-rrdb-x4": small_networks.rrdb(features=32, blocks=3),
            "random-compact-x4": small_networks.compact(features=32, layers=8),
        }
        files = [small_networks.save_pth(state, scratch / f"{name}.pth") for name, state in states.items()]
    chosen = [file for file in files if file.stem == only] or [
        file for file in files if only is None or only.lower() in file.stem.lower()
    ]
    if not chosen:
        raise SystemExit(f"no model's name contains '{only}'; there are {', '.join(file.stem for file in files)}")
    return chosen


def default_images() -> list[Path]:
    """OST_009 (448x640) and one photograph, where they are."""
    photographs = sorted((SHARED / "photos").glob("*.jpg"))[:1]
    return [path for path in (SHARED / "images" / "OST_009.png", *photographs) if path.exists()]


def picture_of(width: int, height: int, sources: Sequence[Path]) -> Image.Image:
    """An RGB picture of that size: a source of just this size as it is, else the largest one cut and made smaller."""
    opened = [Image.open(path) for path in sources]
    for image in opened:
        if image.size == (width, height):
            return image.convert("RGB")
    if not opened:
        return _made_up(width, height)
    image = max(opened, key=lambda image: image.width * image.height).convert("RGB")
    share = min(image.width / width, image.height / height)
    left, top = (image.width - share * width) / 2, (image.height - share * height) / 2
    box = (left, top, left + share * width, top + share * height)
    return image.resize((width, height), Image.Resampling.LANCZOS, box=box)


def _made_up(width: int, height: int) -> Image.Image:
    """A gradient, rings from coarse to fine, and grain: the same for the same size."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    rings = np.sin((x**2 + y**2) / (4 * max(width, height)))[:, :, None] * np.array([60, 40, 20])
    gradient = np.stack([x / width, y / height, (x + y) / (width + height)], axis=2) * 150 + 50
    grain = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(rings + gradient + grain, 0, 255).astype(np.uint8))


def fingerprint(*parts: Path | str) -> str:
    """Of texts and of files' contents."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes() if isinstance(part, Path) else part.encode())
    return digest.hexdigest()[:20]


# -- numbers -----------------------------------------------------------------------------------------------------------


def matrix_rate(dtype: torch.dtype, device: str = "cpu", side: int = 2048, seconds: float = 3.0) -> float:
    """GFLOP/s of the best of several square matrix products; a yardstick for the convolutions."""
    a, b = (torch.rand(side, side).to(device, dtype) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + seconds
    with torch.inference_mode():
        torch.mm(a, b)
        synchronise(device)
        while time.perf_counter() < end:
            started = time.perf_counter()
            torch.mm(a, b)
            synchronise(device)
            best = min(best, time.perf_counter() - started)
    # Where a single product takes longer than all the time there is, the first one is all there is to go by.
    return 2 * side**3 / best / 1e9 if best < float("inf") else 0.0


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def table(rows: Sequence[dict[str, str]]) -> str:
    """Markdown; the columns are the keys of the first row."""
    columns = list(rows[0])
    cells = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def write_json(path: Path | None, content: Any) -> None:
    if path is not None:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
