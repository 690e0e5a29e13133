"""One step of a canvas through the U-Net of Stable Diffusion 1.x: as a whole, and in tiles of 512 px.

    python tests/benchmarks/bench_canvas_memory.py [--sides 512 1024 2048] [--measure cpu|cuda] [--dtype float32]

Random weights at full width, prompt and negative prompt in one call. Each measured case in a process of its own.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import measuring  # first: it makes what is in this repository found
import torch
from measuring import PeakMemory, answer, in_child, machine, synchronise, table, use_threads, write_json
from sd_unet import CONTEXT, UNet

from lib_upscaler.diffusion.canvas import CanvasDenoiser
from lib_upscaler.diffusion.canvas_forecast import forecast
from lib_upscaler.diffusion.canvas_grid import plan_canvas
from lib_upscaler.diffusion.network_memory import network_bytes
from lib_upscaler.geometry import Size
from live_bytes import LiveBytes

ROWS, TOKENS, TILE = 2, 77, 64
WAYS = {"whole": 0, "tiles": 1, "4 tiles at once": 4}
"""Tiles at once."""


@dataclass(frozen=True)
class Job:
    """side: of the canvas, px of the picture. batch: tiles at once; 0: the whole."""

    side: int
    batch: int
    device: str
    dtype: str
    threads: int | None = None


def step(job: Job, network: UNet) -> torch.Tensor:
    side, dtype = job.side // 8, getattr(torch, job.dtype)
    x = torch.zeros(ROWS, 4, side, side, device=job.device, dtype=dtype)
    level = torch.full((ROWS,), 500.0, device=job.device)
    context = torch.zeros(ROWS, TOKENS, CONTEXT, device=job.device, dtype=dtype)
    if not job.batch:
        return network(x, level, context)
    canvas = CanvasDenoiser(plan_canvas(Size(side, side), TILE, seed=1), job.batch)
    # The second step: the first one may have the fewest tiles.
    return canvas(lambda latents, at, told: network(latents, at, told[0]), x, level, [context], 1)


def network_on(device: str, dtype: str) -> UNet:
    with torch.device(device):
        return UNet().to(getattr(torch, dtype)).eval()


def tensors(job: Job) -> int:
    """Bytes of the tensors that are alive at once, counted without computing them."""
    network = network_on("meta", job.dtype)
    gc.collect()
    with torch.no_grad(), LiveBytes() as live:
        step(Job(job.side, job.batch, "meta", job.dtype), network)
    return live.peak


def measure(job: Job) -> dict[str, Any]:
    network = network_on(job.device, job.dtype)
    with torch.no_grad():
        step(Job(256, 0, job.device, job.dtype), network)  # libraries are loaded, work spaces made
        synchronise(job.device)
        memory = PeakMemory(job.device)
        memory.restart()
        started = time.perf_counter()
        step(job, network)
        synchronise(job.device)
    return {"seconds": time.perf_counter() - started, "peak": memory.look()}


def told(job: Job) -> int:
    """What the forecast says, with attention that never has its whole table in memory."""
    size, itemsize = Size(job.side // 8, job.side // 8), torch.finfo(getattr(torch, job.dtype)).bits // 8
    if not job.batch:
        return network_bytes(ROWS, size.area, itemsize)
    cost = forecast(plan_canvas(size, TILE, seed=1), 2, job.batch, ROWS, itemsize=itemsize)
    return network_bytes(ROWS, cost.batch_px, itemsize) + cost.buffer_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024, 2048], metavar="PX")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--measure", choices=["cpu", "cuda"], help="default: tensors are counted, nothing is computed")
    parser.add_argument("--largest", type=int, default=1024, metavar="PX", help="that is measured (default: 1024)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    measuring.add_common_options(parser)
    options = parser.parse_args()
    if options.child:
        job = Job(**json.loads(options.child))
        use_threads(job.threads)
        answer(measure(job))
        return
    results, rows = [], []
    for side in options.sides:
        for way, batch in WAYS.items():
            job = Job(side, batch, options.measure or "meta", options.dtype, options.threads)
            found: dict[str, Any] = {"way": way, "tensors": tensors(job), "told": told(job)}
            if options.measure and side <= options.largest:
                found.update(in_child(__file__, asdict(job)))
            results.append({**asdict(job), **found})
            print(json.dumps(results[-1]), flush=True)
            row = {"side": str(side), "way": way, "tensors MB": f"{found['tensors'] / 1e6:.0f}"}
            row["measured MB"] = f"{found['peak'] / 1e6:.0f}" if "peak" in found else found.get("error", "")
            row["told MB"] = f"{found['told'] / 1e6:.0f}"
            row["s"] = f"{found['seconds']:.1f}" if "seconds" in found else ""
            rows.append(row)
    print(f"{json.dumps(machine())}\n")
    print(table(rows))
    write_json(options.json, {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
