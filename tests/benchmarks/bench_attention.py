"""Networks of attention (SwinIR, HAT, DAT, DRCT ...) of the published sizes: spandrel's plain call beside ours.

    python tests/benchmarks/bench_attention.py [--only SwinIR] [--sides 64,128] [--threads 1] [--runs 5] [--profile]

Random weights, which change neither time nor memory. Both in turns in one process, processor time, the best of
``--runs`` counts: so the table can be made on a machine that others use as well. ``--profile`` prints where the time
of the plain call goes instead.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import add_common_options, default_images, machine, picture_of, table, use_threads, write_json
from torch import Tensor

from lib_upscaler.running.engine import PassOptions, run
from lib_upscaler.running.heap import return_heap
from reference import by_spandrel, load
from small_networks import network_state

_SWIN: dict[str, Any] = dict(img_size=64, embed_dim=180, depths=[6] * 6, num_heads=[6] * 6, mlp_ratio=2.0)
_DAT: dict[str, Any] = dict(img_size=64, embed_dim=180, split_size=[8, 32], depth=[6] * 6, num_heads=[6] * 6, upscale=4)
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "SwinIR-light x2": (
        "SwinIR",
        dict(_SWIN, embed_dim=60, depths=[6] * 4, num_heads=[6] * 4, window_size=8, upscale=2)
        | dict(upsampler="pixelshuffledirect"),
    ),
    "SwinIR-M x4": ("SwinIR", dict(_SWIN, window_size=8, upscale=4, upsampler="nearest+conv")),
    "SwinIR-L x4": (
        "SwinIR",
        dict(_SWIN, embed_dim=240, depths=[6] * 9, num_heads=[8] * 9, window_size=8, upscale=4)
        | dict(upsampler="nearest+conv", resi_connection="3conv"),
    ),
    "Swin2SR x4": ("Swin2SR", dict(_SWIN, window_size=8, upscale=4, upsampler="nearest+conv")),
    "HAT x4": (
        "HAT",
        dict(_SWIN, window_size=16, compress_ratio=3, squeeze_factor=30, conv_scale=0.01, overlap_ratio=0.5, upscale=4),
    ),
    "DRCT x4": ("DRCT", dict(_SWIN, window_size=16, upscale=4, upsampler="pixelshuffle", gc=32)),
    "DAT x4": ("DAT", dict(_DAT, expansion_factor=4.0)),
    "DAT-2 x4": ("DAT", dict(_DAT, expansion_factor=2.0)),
    "DAT-light x4": (
        "DAT",
        dict(_DAT, embed_dim=60, depth=[18], num_heads=[6], expansion_factor=2.0)
        | dict(upsampler="pixelshuffledirect", resi_connection="3conv"),
    ),
}
"""Name -> spandrel's id of the architecture, and what it is made with, as in the papers' own code."""


def in_turns(ways: list[Callable[[], Any]], runs: int) -> list[float]:
    """The least processor time of each, after one run that is not counted."""
    best = [float("inf")] * len(ways)
    for turn in range(runs + 1):
        for number, way in enumerate(ways):
            started = time.process_time()
            way()
            if turn:
                best[number] = min(best[number], time.process_time() - started)
    return best


def compared(name: str, side: int, runs: int) -> dict[str, Any]:
    """Seconds of both, and by how many of 255 levels they differ, before and after rounding."""
    state = network_state(*NETWORKS[name])
    plain = by_spandrel(state).eval()
    with tempfile.TemporaryDirectory() as folder:
        model = load(state, Path(folder))
    pixels = np.array(picture_of(side, side, default_images()))
    planes = torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None].contiguous()
    given: dict[str, Any] = {}

    def spandrels() -> None:
        return_heap()  # what is left of our run: spandrel's call has the heap as a host has it
        with torch.inference_mode():
            given["plain"] = plain(planes)

    def ours() -> None:
        given["ours"] = run(model, pixels, torch.device("cpu"), PassOptions("exact")).pixels

    seconds = in_turns([spandrels, ours], runs)
    true: Tensor = given["plain"][0].permute(1, 2, 0).double().clamp(0, 1) * 255
    off = float((true - torch.from_numpy(given["ours"].astype(np.float64))).abs().max())
    faster = model.copy_for(torch.device("cpu"), torch.float32).faster()
    parts = 0 if faster is None else len(faster._ways)
    return {"network": name, "side": side, "plain": seconds[0], "ours": seconds[1], "off": off, "parts": parts}


def profiled(name: str, side: int) -> str:
    """Where the time of spandrel's call goes."""
    network = by_spandrel(network_state(*NETWORKS[name])).eval()
    image = torch.rand(1, 3, side, side)
    with torch.inference_mode():
        network(image)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            network(image)
    return str(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=16, max_name_column_width=40))


def rows(results: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {
            "network": each["network"],
            "px": f"{each['side']}x{each['side']}",
            "spandrel s": f"{each['plain']:.2f}",
            "ours s": f"{each['ours']:.2f}",
            "spandrel / ours": f"{each['plain'] / each['ours']:.2f}",
            "off by": f"{each['off']:.3f}",
        }
        for each in results
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_options(parser)
    parser.add_argument("--only", default="", help="networks with this in their names")
    parser.add_argument("--sides", default="64,128", help="px of the picture (default 64,128)")
    parser.add_argument("--runs", type=int, default=5, help="of each, in turns; the best counts (default 5)")
    parser.add_argument("--profile", action="store_true", help="where the time of spandrel's call goes")
    options = parser.parse_args()
    use_threads(options.threads or 1)
    warnings.simplefilter("ignore")  # what torch has deprecated since some of these networks were written
    names = [name for name in NETWORKS if options.only.lower() in name.lower()]
    cases = [(name, int(side)) for name in names for side in options.sides.split(",")]
    if options.profile:
        for name, side in cases:
            print(f"{name}, {side}x{side}\n{profiled(name, side)}")
        return
    results = []
    for name, side in cases:
        results.append(compared(name, side, options.runs))
        print(results[-1], file=sys.stderr, flush=True)
    print(f"{json.dumps(machine())}\n{torch.get_num_threads()} thread(s), processor time, in turns\n")
    print(table(rows(results)))
    write_json(options.json, {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
