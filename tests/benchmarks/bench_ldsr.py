"""LDSR at full width with random weights, 1024x1024 to 4096x4096: seconds, and the peak of the process.

    python tests/benchmarks/bench_ldsr.py [--side 1024] [--steps 2] [--memory 2.5] [--decode none|tiles|whole]

What the networks do does not depend on what is in their weights; so neither do time and memory. By default the picture
is not decoded: what the decoder takes as a whole is told from its size.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import torch
from measuring import answer, in_child, machine, picture_of, table, use_threads, write_json

GIGABYTE = 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1024, help="of the picture, px")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--memory", type=float, default=2.5, help="GB that a run may take beside the weights")
    parser.add_argument("--decode", choices=("none", "tiles", "whole"), default="none")
    parser.add_argument("--mode", choices=("auto", "webui"), default="auto")
    parser.add_argument("--precision", default="exact")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of torch; default: torch's own choice")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all that was measured here")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        answer(measure(json.loads(options.child)))
        return
    keys = ("side", "steps", "memory", "decode", "mode", "precision", "device", "threads")
    found = in_child(__file__, {key: getattr(options, key) for key in keys})
    if "error" in found:
        raise SystemExit(found["error"])
    print(table([{name: f"{value:.2f}" if isinstance(value, float) else str(value) for name, value in found.items()}]))
    write_json(options.json, {"machine": machine(), "options": vars(options) | {"json": None}, "found": found})


def measure(job: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    from ldsr_models import REAL, network
    from lib_upscaler.geometry import Size
    from lib_upscaler.models.ldsr.settings import LdsrSettings
    from lib_upscaler.running.ldsr.sampler import LdsrSampler
    from lib_upscaler.running.peak import PeakMeter

    use_threads(job["threads"])
    device, size = torch.device(job["device"]), Size(job["side"], job["side"])
    settings = LdsrSettings(mode=job["mode"], steps=job["steps"], precision=job["precision"])
    memory = int(job["memory"] * GIGABYTE)
    nothing = torch.zeros(1, 3, 1, 1).expand(1, 3, 4 * size.height, 4 * size.width)
    net = network(REAL)
    sampler = LdsrSampler(net, (lambda latent, progress: nothing) if job["decode"] == "none" else None)
    pixels = np.asarray(picture_of(size.width, size.height, [])).transpose(2, 0, 1)
    picture = torch.from_numpy(pixels.astype(np.float32) / 255)
    told = sampler.forecast(size, settings, device, memory)
    whole = sampler.forecast(size, replace(settings, tile="auto"), device, 1 << 50)
    limit = 1 << 50 if job["decode"] == "whole" else memory
    resident = psutil.Process().memory_info().rss
    started = time.perf_counter()
    with PeakMeter(device) as meter:
        result = sampler.upscale(picture, settings, device, limit, _Log())
    return {
        "tile": result.plan.tile or "whole",
        "tiles": told.tiles,
        "work, TMAC": told.work / 1e12,
        "seconds": time.perf_counter() - started,
        "before, GB": resident / GIGABYTE,
        "sampling told, GB": told.sampling_bytes / GIGABYTE,
        "measured, GB": meter.bytes / GIGABYTE,
        "process peak, GB": (resident + meter.bytes) / GIGABYTE,
        "whole UNet told, GB": whole.sampling_bytes / GIGABYTE,
        "whole decoder told, GB": told.whole_decoding_bytes / GIGABYTE,
    }


class _Log:
    """Each step and tile, for the one who waits."""

    note = ""

    def advance(self, fraction: float, note: str = "") -> None:
        if note != self.note:
            print(f"{fraction:.3f} {note}", file=sys.stderr, flush=True)
            self.note = note

    def cancelled(self) -> bool:
        return False


if __name__ == "__main__":
    main()
