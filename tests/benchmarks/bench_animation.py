"""What writing an animation takes: memory and time, ours beside Pillow's own writer handed a generator.

    python tests/benchmarks/bench_animation.py [--frames 300] [--size 1280x720]

No network runs: the frames are made as they are asked for, a picture with a part that moves before it. Each case in a
process of its own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import measuring  # first: it makes what is in this repository found
import numpy as np
from measuring import MEBIBYTE, PeakMemory, answer, default_images, in_child, machine, picture_of, table, write_json
from PIL import Image

from lib_upscaler.pictures.frames.source import Frame
from lib_upscaler.pictures.frames.writing import write_frames
from lib_upscaler.pictures.metadata import Metadata

KINDS = ("gif", "png", "webp", "tiff")
OPTIONS: dict[str, dict[str, Any]] = {
    "gif": {"disposal": 1},
    "png": {"compress_level": 1},
    "webp": {"lossless": True, "method": 1, "quality": 20},
    "tiff": {"compression": "tiff_lzw"},
}


@dataclass(frozen=True)
class Job:
    way: str
    kind: str
    frames: int
    width: int
    height: int


def pictures(job: Job, ground: np.ndarray) -> Iterator[Image.Image]:
    """A ground at rest, and before it a quarter of the picture that moves and changes."""
    rows, columns = job.height // 2, job.width // 2
    for number in range(job.frames):
        frame = ground.copy()
        left = number * 4 % columns
        part = frame[rows // 2 : rows // 2 + rows, left : left + columns]
        part[:] = np.roll(part[:, ::-1], number, axis=0)
        yield Image.fromarray(frame)


def measure(job: Job) -> dict[str, Any]:
    ground = np.asarray(picture_of(job.width, job.height, default_images()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{job.kind}"
        memory = PeakMemory()
        memory.restart()
        started = time.perf_counter()
        if job.way == "ours":
            frames = (Frame(image, Fraction(40)) for image in pictures(job, ground))
            write_frames(frames, path, Metadata(), count=job.frames)
        else:
            made = pictures(job, ground)
            next(made).save(path, save_all=True, append_images=made, duration=40, loop=0, **OPTIONS[job.kind])
        return {"seconds": time.perf_counter() - started, "peak": memory.look(), "size": path.stat().st_size}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", default="1280x720", metavar="WxH")
    parser.add_argument("--only", choices=["ours", "Pillow"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    measuring.add_common_options(parser)
    options = parser.parse_args()
    if options.child:
        answer(measure(Job(**json.loads(options.child))))
        return
    width, height = map(int, options.size.split("x"))
    results, rows = [], []
    for kind in options.kinds:
        for way in [options.only] if options.only else ["ours", "Pillow"]:
            job = Job(way, kind, options.frames, width, height)
            found = in_child(__file__, asdict(job))
            results.append({**asdict(job), **found})
            row = {"format": kind, "way": way, "peak MiB": found.get("error", "")}
            if "peak" in found:
                row["peak MiB"] = f"{found['peak'] / MEBIBYTE:.0f}"
                row["s a frame"] = f"{found['seconds'] / job.frames:.2f}"
                row["MB"] = f"{found['size'] / 1e6:.1f}"
            rows.append(row)
    print(f"{json.dumps(machine())}\n")
    print(table(rows))
    write_json(options.json, {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
