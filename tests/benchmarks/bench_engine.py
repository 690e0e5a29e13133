"""Our engine beside the host's method and the untiled network: time, peak memory, deviation from true, rate.

    python tests/benchmarks/bench_engine.py [--only MODEL] [--sizes 131x100,448x640] [--methods host,exact,auto]

Every (model, size, method) runs in a process of its own: load, one picture of 64x64 that is not counted, then the
picture. "True" is the untiled float32 network in RGB, computed once per model and size and kept in a temporary folder.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import host_method
import numpy as np
import runtimes
import spandrel
import torch
from measuring import (
    MEBIBYTE,
    PeakMemory,
    add_common_options,
    answer,
    default_images,
    fingerprint,
    in_child,
    machine,
    matrix_rate,
    model_files,
    picture_of,
    synchronise,
    table,
    use_threads,
    write_json,
)
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

OURS = {"exact": "exact", "auto": "auto", "bf16": "bf16", "fp16": "fp16"}
"""Our methods, and the precision that each asks for."""

METHODS = ("host", "untiled", *runtimes.RUNTIMES, *OURS)
SIZES = "131x100,448x640,1024x1024"
WARM_UP = 64

Runner = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Job:
    """One measurement. model, picture, true: paths of files; true is that of the array to compare with."""

    model: str
    picture: str
    method: str
    runs: int
    device: str
    threads: int | None
    true: str | None = None


# -- in the child ------------------------------------------------------------------------------------------------------


def prepare(job: Job) -> tuple[Runner, Callable[[], dict[str, Any]]]:
    """Load the model; what upscales a picture, and what then says how it did so."""
    if job.method in OURS:
        from lib_upscaler import ModelLibrary, Upscaler, UpscaleRequest

        upscaler = Upscaler(ModelLibrary([]), job.device)
        request = UpscaleRequest(job.model, precision=OURS[job.method])
        upscaler.load(request)
        reports: list[Any] = []

        def ours(image: Image.Image) -> Image.Image:
            result = upscaler.upscale(image, request)
            reports.append(result.report)
            return result.image

        return ours, lambda: reports[-1].to_json()
    network = load(job.model, job.device)
    if job.method in runtimes.RUNTIMES:
        sizes = {(WARM_UP, WARM_UP), Image.open(job.picture).size}
        return runtimes.prepared(job.method, network, sizes), dict
    if job.method == "host":
        # One pass at the network's scale. The host's last step, to sides that are multiples of 8, is left out.
        return lambda image: host_method.one_pass(network, image), dict
    return lambda image: Image.fromarray(untiled(network, image)), dict


def load(path: str, device: str) -> spandrel.ImageModelDescriptor:
    """As the host does: spandrel's own loader, float32, layout untouched."""
    descriptor = spandrel.ModelLoader(device="cpu").load_from_file(path)
    descriptor.model.eval()
    if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
        raise SystemExit("only RGB networks are compared")
    return descriptor.to(torch.device(device))


def untiled(network: spandrel.ImageModelDescriptor, image: Image.Image) -> np.ndarray:
    """The network on the whole picture in RGB, ``(h, w, 3)`` uint8."""
    with torch.inference_mode():
        planes = torch.from_numpy(np.asarray(image.convert("RGB")).transpose(2, 0, 1).copy())
        output = network((planes[None].float() / 255).to(network.device))[0]
        return output.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


def measure(job: Job) -> dict[str, Any]:
    """Best time of ``runs``, and the peak of all of them."""
    image = Image.open(job.picture).convert("RGB")
    started = time.perf_counter()
    run, report = prepare(job)
    loading = time.perf_counter() - started
    memory = PeakMemory(job.device)
    run(image.resize((WARM_UP, WARM_UP)))
    synchronise(job.device)
    memory.restart()
    walls, processor, peak = [], [], 0
    for _ in range(job.runs):
        wall, cpu = time.perf_counter(), time.process_time()
        output = run(image)
        synchronise(job.device)
        walls.append(time.perf_counter() - wall)
        processor.append(time.process_time() - cpu)
        peak = memory.look()
    measured = {
        "seconds": min(walls),
        "all_seconds": walls,
        "cpu_seconds": processor[walls.index(min(walls))],
        "load_seconds": loading,
        "peak_bytes": peak,
        "report": report(),
    }
    if job.true:
        measured["deviation"] = deviation(np.asarray(output), np.load(job.true, mmap_mode="r"))
    return measured


def deviation(ours: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Of 8-bit values: largest and mean in levels, PSNR in dB (None where they are the same)."""
    if ours.shape != true.shape:
        raise SystemExit(f"the result is {ours.shape}, the true one {true.shape}")
    largest, total, squares = 0, 0, 0
    for top in range(0, len(ours), 64):
        difference = np.abs(ours[top : top + 64].astype(np.int64) - true[top : top + 64])
        largest = max(largest, int(difference.max()))
        total, squares = total + int(difference.sum()), squares + int((difference**2).sum())
    decibels = 10 * np.log10(255**2 * ours.size / squares) if squares else None
    return {"max": largest, "mean": total / ours.size, "psnr_db": decibels}


def count_work(job: Job) -> dict[str, Any]:
    """FLOPs of the convolutions and matrix products of the network on this picture, untiled; two per MAC."""
    width, height = Image.open(job.picture).size
    descriptor = load(job.model, "cpu")
    twin = copy.deepcopy(descriptor.model).to("meta")
    rule = descriptor.size_requirements
    pad_width, pad_height = rule.get_padding(width, height)
    picture = torch.empty(1, 3, height + pad_height, width + pad_width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        twin(picture)
    return {"flops": counter.get_total_flops(), "scale": descriptor.scale}


def child(text: str) -> None:
    job = Job(**json.loads(text))
    use_threads(job.threads)
    if job.method == "true":
        network = load(job.model, "cpu")
        np.save(job.true, untiled(network, Image.open(job.picture)))
        answer({})
    elif job.method == "work":
        answer(count_work(job))
    elif job.method == "rates":
        kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
        if job.device != "cpu":
            kinds["float16"] = torch.float16
        rates = {name: matrix_rate(kind, job.device) for name, kind in kinds.items()}
        answer({"threads": torch.get_num_threads(), "gflops": rates})
    else:
        answer(measure(job))


# -- in the parent -----------------------------------------------------------------------------------------------------


def compare(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Measure all that was asked for; progress goes to stderr."""

    def job(model: Path | str, picture: Path | str, method: str, true: Path | None = None) -> dict[str, Any]:
        made = Job(
            str(model), str(picture), method, options.runs, options.device, options.threads, str(true) if true else None
        )
        # An empty cache folder for each: what the engine probes is then in its time, as with a user's first picture.
        return in_child(__file__, asdict(made), Path(tempfile.mkdtemp(dir=scratch)))

    rates = job("", "", "rates")
    results = []
    for model in model_files(options.models_dir, scratch, options.only):
        for width, height in options.sizes:
            picture = scratch / f"{width}x{height}.png"
            if not picture.exists():
                picture_of(width, height, options.images).save(picture)
            work = job(model, picture, "work")
            if "error" in work:
                print(f"{model.stem}: left out, {work['error']}", file=sys.stderr)
                continue
            true = true_output(job, model, picture, options.true_dir)
            for method in options.methods:
                if method in runtimes.RUNTIMES and not runtimes.is_installed(method):
                    print(f"{method}: left out, it is not installed", file=sys.stderr)
                    continue
                print(f"{model.stem} {width}x{height} {method} ...", end=" ", file=sys.stderr, flush=True)
                measured = job(model, picture, method, true)
                print(f"{measured['seconds']:.2f} s" if "seconds" in measured else measured["error"], file=sys.stderr)
                case = {"model": model.stem, "size": [width, height], "method": method, "flops": work["flops"]}
                results.append({**case, **measured})
    return {"machine": machine(), "matrix_product": rates, "results": results}


def true_output(job: Callable[..., dict[str, Any]], model: Path, picture: Path, folder: Path) -> Path | None:
    """The file with the true output, made if it is not there; None where the untiled network does not fit."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{fingerprint(model, picture, str(torch.__version__), spandrel.__version__)}.npy"
    if not path.exists():
        unfinished = path.with_suffix(".part.npy")
        if "error" in job(model, picture, "true", unfinished):
            print(f"{model.stem} {picture.stem}: the untiled network fails, no deviation", file=sys.stderr)
            return None
        unfinished.replace(path)
    return path


def rows(measured: dict[str, Any]) -> list[dict[str, str]]:
    """The table: times and ratios against the host's method, where that ran."""
    products = measured["matrix_product"].get("gflops", {})
    host = {
        (r["model"], *r["size"]): r["seconds"] for r in measured["results"] if r["method"] == "host" and "seconds" in r
    }
    made = []
    for result in measured["results"]:
        key = (result["model"], *result["size"])
        row = {"model": key[0], "size": f"{key[1]}x{key[2]}", "method": result["method"]}
        if "error" in result:
            made.append({**row, "time s": result["error"]})
            continue
        report = result["report"]
        precision = report.get("precision", "float32")
        rate = result["flops"] / result["seconds"] / 1e9
        off = result.get("deviation")
        made.append(
            {
                **row,
                "time s": f"{result['seconds']:.2f}",
                "host / it": f"{host[key] / result['seconds']:.2f}" if key in host else "",
                "CPU s": f"{result['cpu_seconds']:.1f}",
                "load s": f"{result['load_seconds']:.2f}",
                "peak MiB": f"{result['peak_bytes'] / MEBIBYTE:.0f}",
                "max": str(off["max"]) if off else "",
                "mean": f"{off['mean']:.3f}" if off else "",
                "dB": ("same" if off["psnr_db"] is None else f"{off['psnr_db']:.1f}") if off else "",
                "GFLOP/s": f"{rate:.0f}",
                "of mm": f"{rate / products[precision]:.0%}" if products.get(precision) else "",
                "how": _how(report),
            }
        )
    return made


def _how(report: dict[str, Any]) -> str:
    """What the engine says it did."""
    if not report:
        return ""
    words = [report["strategy"], report["precision"]]
    if report["tiles"] > 1:
        words.append(f"{report['tiles']} tiles, margin {report['margin']}, seam {report['seam_error']:.2f}")
    if report["precision_db"] is not None:
        words.append(f"probe {report['precision_db']:.1f} dB")
    return ", ".join([*words, *report["warnings"]])


def _sizes(text: str) -> list[tuple[int, int]]:
    return [(int(width), int(height)) for width, height in (part.lower().split("x") for part in text.split(","))]


def _methods(text: str) -> list[str]:
    methods = text.split(",")
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no method {', '.join(unknown)}; there are {', '.join(METHODS)}")
    return methods


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_options(parser)
    parser.add_argument("--images", type=Path, nargs="+", default=default_images(), help="what pictures are cut from")
    parser.add_argument("--sizes", type=_sizes, default=_sizes(SIZES), help=f"width x height; default {SIZES}")
    parser.add_argument("--only", metavar="MODEL", help="models with this in their names")
    parser.add_argument(
        "--methods", type=_methods, default=["host", "untiled", "exact", "auto"], help=", ".join(METHODS)
    )
    parser.add_argument("--runs", type=int, default=1, help="of each; the best one counts (default 1)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda:0, ...")
    default_true = Path(tempfile.gettempdir()) / "truescale-benchmarks"
    parser.add_argument("--true-dir", type=Path, default=default_true, help="where true outputs are kept")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    with tempfile.TemporaryDirectory() as scratch:
        measured = compare(options, Path(scratch))
    print(f"\n{json.dumps(measured['machine'])}")
    products = measured["matrix_product"]
    rates = ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in products.get("gflops", {}).items())
    print(f"matrix product 2048x2048, {products.get('threads')} threads: {rates}\n")
    print(table(rows(measured)))
    write_json(options.json, measured)


if __name__ == "__main__":
    main()
