"""Seconds per megapixel of output, from small pictures to large ones: they should not grow with the picture.

    python tests/benchmarks/bench_growth.py [--megapixels 0.1,1,4,16] [--precision exact] [--threads-list 1,2]

Anime6B where it is there. Every (size, threads) is a process of its own: load, a picture of 64x64 that is not counted,
then the picture. Beside the clock stands the processor time, which also tells something on a machine that others use.
How much more than the output's own px is computed, for the context of tiles and of bands, follows from the plan.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measuring import (
    add_common_options,
    answer,
    default_images,
    in_child,
    machine,
    model_files,
    picture_of,
    table,
    use_threads,
    write_json,
)

MODEL = "RealESRGAN_x4plus_anime_6B"
WARM_UP = 64


@dataclass(frozen=True)
class Job:
    """side: px of the square picture that goes in; 0 asks for the network's scale alone."""

    model: str
    side: int
    precision: str
    threads: int


# -- in the child ------------------------------------------------------------------------------------------------------


def measure(job: Job) -> dict[str, Any]:
    from lib_upscaler import ModelLibrary, Upscaler, UpscaleRequest

    upscaler = Upscaler(ModelLibrary([]), "cpu")
    request = UpscaleRequest(job.model, precision=job.precision)
    (model,) = next(iter(upscaler.load(request).values()))
    if not job.side:
        return {"scale": model.card.scale}
    upscaler.upscale(picture_of(WARM_UP, WARM_UP, default_images()), request)
    image = picture_of(job.side, job.side, default_images())
    planned = factors(model, job.side, request.memory)
    wall, cpu = time.perf_counter(), time.process_time()
    report = upscaler.upscale(image, request).report
    seconds, processor = time.perf_counter() - wall, time.process_time() - cpu
    return {"seconds": seconds, "cpu_seconds": processor, **planned, "report": report.to_json()}


def factors(model: Any, side: int, memory: int | None) -> dict[str, float]:
    """px computed for each px of the picture: in all tiles, in blocks that run in bands, in the head."""
    import torch

    from lib_upscaler.geometry import Size
    from lib_upscaler.planning.passes import PassTask, bands_of, limits_for, plan_pass
    from lib_upscaler.running.heap import can_steady_heap
    from lib_upscaler.running.limits import memory_budget

    cpu, facts = torch.device("cpu"), model.facts
    task = PassTask.of(model.card, facts, Size(side, side), 3, 8, 8, "auto", "cpu", can_steady_heap(cpu))
    plan = plan_pass(task, "auto", limits_for(model.card, "cpu", memory_budget(cpu, memory), 4))
    tiles = blocks = head = 0.0
    radius = max((block.radius for block in facts.blocks), default=0)
    for core in plan.cut.cores:
        region = task.region_of(core, plan.cut.margin)
        bands = bands_of(task, region, plan.limits)
        tiles += region.size.area
        if bands is not None:
            height = math.ceil(region.height / facts.head_divisor)
            blocks += region.size.area * _with_context(region.height, bands.block_rows, radius)
            head += region.size.area * _with_context(height, bands.head_rows, facts.head_radius)
    return {name: px / side**2 for name, px in (("tiles", tiles), ("blocks", blocks), ("head", head))}


def _with_context(height: int, rows: int | None, radius: int) -> float:
    """Rows computed for each of ``height`` rows, in bands of ``rows`` with a context of ``radius`` on either side."""
    tops = range(0, height, rows or height)
    computed = sum(min(height, top + (rows or height) + radius) - max(0, top - radius) for top in tops)
    return computed / height


def child(text: str) -> None:
    job = Job(**json.loads(text))
    use_threads(job.threads)
    answer(measure(job))


# -- in the parent -----------------------------------------------------------------------------------------------------


def compare(options: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    model = str(options.model or model_files(options.models_dir, scratch, options.only)[0])
    scale = in_child(__file__, asdict(Job(model, 0, options.precision, 1)), scratch)["scale"]
    results = []
    for megapixels in options.megapixels:
        side = round(math.sqrt(megapixels * 1e6) / scale)
        for threads in options.threads_list:
            found = in_child(__file__, asdict(Job(model, side, options.precision, threads)), scratch / "cache")
            results.append({"megapixels": (side * scale) ** 2 / 1e6, "side": side, "threads": threads, **found})
            print({key: value for key, value in results[-1].items() if key != "report"}, file=sys.stderr, flush=True)
    return results


def rows(results: list[dict[str, Any]], threads_list: list[int]) -> list[dict[str, str]]:
    """One line for each size; times are of a megapixel of output."""
    made = []
    for megapixels in sorted({each["megapixels"] for each in results}):
        of_size = {each["threads"]: each for each in results if each["megapixels"] == megapixels}
        any_of_them = next(iter(of_size.values()))
        row = {"MP of output": f"{megapixels:.2f}", "px": f"{any_of_them['side']}x{any_of_them['side']}"}
        for threads in threads_list:
            found, name = of_size[threads], f"{threads} thread{'s' if threads > 1 else ''}"
            failed = "error" in found
            row[f"{name}, s"] = found["error"] if failed else f"{found['seconds'] / megapixels:.2f}"
            row[f"{name}, CPU s"] = "" if failed else f"{found['cpu_seconds'] / megapixels:.2f}"
        first, last = of_size[threads_list[0]], of_size[threads_list[-1]]
        if len(threads_list) > 1 and "seconds" in first and "seconds" in last:
            row["ratio"] = f"{first['seconds'] / last['seconds']:.2f}"
        for name in ("tiles", "blocks", "head"):
            row[name] = f"{any_of_them.get(name, math.nan):.3f}"
        made.append(row)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_options(parser)
    parser.add_argument("--model", type=Path, help=f"file of a network; default {MODEL}")
    parser.add_argument("--only", default=MODEL, help=argparse.SUPPRESS)
    parser.add_argument("--megapixels", type=_numbers, default=[0.1, 1, 4, 16], help="of output (default 0.1,1,4,16)")
    parser.add_argument("--precision", default="exact", choices=("exact", "auto", "bf16"))
    parser.add_argument("--threads-list", type=_counts, default=[1, 2], help="numbers of threads (default 1,2)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    with tempfile.TemporaryDirectory() as scratch:
        results = compare(options, Path(scratch))
    print(f"{json.dumps(machine())}\n\nseconds of a megapixel of output; px computed for each px of the picture\n")
    print(table(rows(results, options.threads_list)))
    write_json(options.json, {"machine": machine(), "results": results})


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _counts(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
