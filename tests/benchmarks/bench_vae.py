"""The VAE in bands beside the VAE as a whole: time, memory, deviation.

    python tests/benchmarks/bench_vae.py [--sides 256 512] [--layouts sd vq] [--dtypes float32 bfloat16]
    python tests/benchmarks/bench_vae.py --forecasts

Random weights at full width in the layouts of Stable Diffusion (1, 2 and XL have the same) and of LDSR's first stage.
Each case in a process of its own. --forecasts: no runs, but what is forecast for pictures from 1024 to 8192 px.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import PeakMemory, answer, in_child, machine, table, use_threads, write_json

from lib_upscaler.diffusion.vae import Means, decode, encode, forecast, recognise
from lib_upscaler.geometry import Size
from live_bytes import LiveBytes
from small_vaes import kl_vae, uneven, vq_vae

LAYOUTS = {"sd": (lambda: kl_vae(128), 8, 4), "vq": (lambda: vq_vae(128, entries=8192), 4, 3)}
WAYS = ("whole", "exact", "third", "fast")
"""third: exact, in a third of the memory that the tensors of the whole take. fast: in as much."""

LEVEL = 1 / 127.5


@dataclass(frozen=True)
class Job:
    """memory: bytes that may be taken; 0: no limit."""

    layout: str
    direction: str
    side: int
    dtype: str
    way: str
    output: str
    memory: int
    threads: int | None


def whole_bytes(layout: str, direction: str, side: int, dtype: str, with_table: bool = False) -> int:
    """Bytes of the tensors that the plain model has alive at once, counted without computing them.

    with_table: with the table of attention, which hosts avoid.
    """
    make, factor, channels = LAYOUTS[layout]
    with torch.device("meta"):
        model = make().to(getattr(torch, dtype))
    if not with_table:
        for coder in (model.encoder, model.decoder):
            coder.mid.attn_1 = torch.nn.Identity()
    shape = (1, 3, side, side) if direction == "encode" else (1, channels, side // factor, side // factor)
    source = torch.empty(shape, device="meta", dtype=getattr(torch, dtype))
    gc.collect()
    with torch.no_grad(), LiveBytes() as live:
        model.encoder(source) if direction == "encode" else model.decoder(source)
    return live.peak


def measure(job: Job) -> dict[str, Any]:
    make, factor, channels = LAYOUTS[job.layout]
    dtype = getattr(torch, job.dtype)
    model = make().to(dtype)
    tree = recognise(model)
    encodes = job.direction == "encode"
    side = job.side if encodes else job.side // factor
    source = uneven(3 if encodes else channels, side, side).to(dtype)
    means = Means(memory=job.memory or None)
    warm = source[:, :, : side // 4, : side // 4]

    def run(x: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        if job.way == "whole":
            return (model.encode(x) if encodes else model.decode(x)).float(), {}
        mode = "fast" if job.way == "fast" else "exact"
        done = encode(tree, x, mode, means) if encodes else decode(tree, x, mode, means)
        assert done.tensor is not None
        assert done.forecast.schedule is not None
        facts = {
            "keeps": " ".join(keep.value for keep in done.forecast.schedule.keeps),
            "attention": done.forecast.schedule.setting.attention,
            "factor": done.forecast.work_factor,
            "forecast_bytes": done.forecast.bytes,
            "working": done.forecast.working,
            "bands": done.bands,
            "said": done.deviation,
        }
        return done.tensor, facts

    with torch.no_grad():
        (model.encode(warm) if encodes else model.decode(warm)).float()
        memory = PeakMemory()
        memory.restart()
        started, cpu = time.perf_counter(), time.process_time()
        output, facts = run(source)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = memory.look()
    np.save(job.output, output.numpy())
    return {"seconds": seconds, "cpu": cpu, "peak": peak, **facts}


def compare(options: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    results = []
    cases = [
        (layout, direction, side, dtype)
        for layout in options.layouts
        for side in options.sides
        for dtype in options.dtypes
        for direction in options.directions
    ]
    for layout, direction, side, dtype in cases:
        whole = whole_bytes(layout, direction, side, dtype)
        outputs: dict[str, np.ndarray] = {}
        for way in options.ways:
            limit = 60_000_000 + whole // 3 if way in ("third", "fast") else 0
            file = str(scratch / f"{way}.npy")
            job = Job(layout, direction, side, dtype, way, file, limit, options.threads)
            measured = in_child(__file__, asdict(job))
            if "error" not in measured:
                outputs[way] = np.load(file)
                if way != "whole" and "whole" in outputs:
                    measured.update(_deviation(outputs[way], outputs["whole"]))
            results.append({**asdict(job), "whole_bytes": whole, **measured})
            print(json.dumps(results[-1]), flush=True)
    return results


def _deviation(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Of pictures and latents alike in steps of 1 / 127.5."""
    off = np.abs(one - other) / LEVEL
    return {"max": float(off.max()), "rms": float(np.sqrt((off**2).mean())), "within": float((off <= 1).mean())}


def rows(results: list[dict[str, Any]]) -> list[dict[str, str]]:
    made = []
    whole: dict[str, Any] = {}
    for result in results:
        if result["way"] == "whole":
            whole = result
        row = {name: str(result[name]) for name in ("layout", "direction", "side", "dtype", "way")}
        if "error" in result:
            made.append({**row, "s": result["error"]})
            continue
        beside = whole if "cpu" in whole else result
        made.append(
            {
                **row,
                "s": f"{result['seconds']:.1f}",
                "cpu s": f"{result['cpu']:.1f}",
                "cpu / whole": f"{result['cpu'] / beside['cpu']:.2f}",
                "work": f"{result.get('factor', 1):.2f}",
                "peak MB": f"{result['peak'] / 1e6:.0f}",
                "peak / whole": f"{result['peak'] / beside['peak']:.2f}",
                "whole's tensors MB": f"{result['whole_bytes'] / 1e6:.0f}",
                "max": f"{result['max']:.3f}" if "max" in result else "",
                "rms": f"{result['rms']:.3f}" if "rms" in result else "",
                "within 1": f"{result['within']:.2%}" if "within" in result else "",
                "keeps": result.get("keeps", ""),
            }
        )
    return made


def forecasts() -> list[dict[str, str]]:
    found = []
    for layout, (make, _, _) in LAYOUTS.items():
        with torch.device("meta"):
            tree = recognise(make())
        for direction in ("decode", "encode"):
            for side in (1024, 2048, 4096, 8192):
                whole = whole_bytes(layout, direction, side, "bfloat16")
                means = Means(torch.device("cpu"), torch.bfloat16, memory=whole // 3)
                for mode in ("exact", "fast", "auto"):
                    plan = forecast(tree, Size(side, side), direction, mode, means)  # type: ignore[arg-type]
                    found.append(
                        {
                            "layout": layout,
                            "direction": direction,
                            "side": str(side),
                            "mode": mode,
                            "strategy": plan.strategy,
                            "work / network": f"{plan.work_factor:.2f}",
                            "TFLOP": f"{2 * plan.work / 1e12:,.0f}",
                            "window MB": f"{plan.working / 1e6:.0f}",
                            "planes and window GB": f"{plan.bytes / 1e9:.2f}",
                            "whole's tensors GB": f"{whole / 1e9:.2f}",
                            "reason": plan.reason if mode == "auto" else "",
                        }
                    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 768], metavar="PX")
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS), choices=LAYOUTS)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--directions", nargs="+", default=["decode", "encode"], choices=["decode", "encode"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--threads", type=int, help="of torch; default: torch's own choice")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all that was measured here")
    parser.add_argument("--forecasts", action="store_true", help="only what is forecast; nothing runs")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        job = Job(**json.loads(options.child))
        use_threads(job.threads)
        answer(measure(job))
        return
    if options.forecasts:
        print(table(forecasts()))
        return
    with tempfile.TemporaryDirectory() as scratch:
        results = compare(options, Path(scratch))
    print(f"{json.dumps(machine())}\n")
    print(table(rows(results)))
    write_json(options.json, {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
