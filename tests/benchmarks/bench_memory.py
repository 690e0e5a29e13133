"""Whether a memory limit is kept: the limit asked for beside the peak that the kernel saw.

    python tests/benchmarks/bench_memory.py [--only MODEL] [--case 1024x1024@2 ...]

Each case in a process of its own: the model is loaded, then the picture is read, upscaled (exact) and written as PNG.
The peak is that of the whole process above its state after loading, so canvas and codec are in it. What does not fit
lies on the disk, as on the command line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from measuring import (
    PeakMemory,
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

GIGABYTE = 10**9


@dataclass(frozen=True)
class Case:
    """limit: GB, as ``--memory`` counts them."""

    model: str
    width: int
    height: int
    limit: float


CASES = (
    Case("RealESRGAN_x4plus", 1024, 1024, 2),
    Case("realesr-animevideov3-x4", 1920, 1080, 1),
    Case("RealESRGAN_x4plus", 448, 640, 1),
    Case("RealESRGAN_x4plus_anime_6B", 448, 640, 1),
)
"""What must hold. 448x640 is the picture OST_009.png."""


@dataclass(frozen=True)
class Job:
    model: str
    picture: str
    limit: int
    precision: str
    threads: int | None


def measure(job: Job) -> dict[str, Any]:
    from lib_upscaler import ModelLibrary, Size, Upscaler, UpscaleRequest
    from lib_upscaler.pictures.reading import read_picture
    from lib_upscaler.pictures.writing import write_picture

    upscaler = Upscaler(ModelLibrary([]), "cpu")
    request = UpscaleRequest(job.model, precision=job.precision, memory=job.limit)
    upscaler.load(request)
    memory = PeakMemory()
    memory.restart()
    loaded = psutil.Process().memory_info().rss
    started = time.perf_counter()
    source = read_picture(job.picture)
    peaks = {"read": memory.look()}
    plan = upscaler.plan(Size(*source.image.size), request, scratch=Path(job.picture).parent)
    result = upscaler.upscale(source.image, request, plan=plan)
    peaks["upscaled"] = memory.look()
    memory.restart()
    write_picture(result.pixels, Path(job.picture).with_suffix(".out.png"), source.metadata, overwrite=True)
    peaks["written"] = memory.look()
    process = loaded + max(peaks.values())
    seconds, on_disk = time.perf_counter() - started, plan.stages[-1][1].on_disk
    report = result.report.to_json()
    return {"seconds": seconds, "peaks": peaks, "report": report, "process": process, "on_disk": on_disk}


def compare(options: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    results = []
    files = {file.stem: file for file in model_files(options.models_dir, scratch, options.only)}
    for case in cases(options, files):
        picture = scratch / f"{case.width}x{case.height}.png"
        picture_of(case.width, case.height, default_images()).save(picture)
        job = Job(str(files[case.model]), str(picture), int(case.limit * GIGABYTE), options.precision, options.threads)
        measured = in_child(__file__, asdict(job), Path(tempfile.mkdtemp(dir=scratch)))
        results.append({**asdict(case), **measured})
    return results


def cases(options: argparse.Namespace, files: dict[str, Path]) -> list[Case]:
    """Those asked for with every model there is, else the ones that must hold."""
    if options.case:
        return [Case(name, *numbers) for numbers in options.case for name in files]
    return [case for case in CASES if case.model in files]


def row(result: dict[str, Any]) -> dict[str, str]:
    made = {
        "model": result["model"],
        "size": f"{result['width']}x{result['height']}",
        "asked MB": f"{result['limit'] * 1000:.0f}",
    }
    if "error" in result:
        return {**made, "peak MB": result["error"]}
    peak, report = max(result["peaks"].values()), result["report"]
    return {
        **made,
        "peak MB": f"{peak / 1e6:.0f}",
        "share": f"{peak / (result['limit'] * GIGABYTE):.0%}",
        "kept": "yes" if peak <= result["limit"] * GIGABYTE else "NO",
        "engine says MB": f"{report['peak_bytes'] / 1e6:.0f}",
        "process MB": f"{result['process'] / 1e6:.0f}",
        "on disk": "yes" if result["on_disk"] else "",
        "time s": f"{result['seconds']:.1f}",
        "how": f"{report['strategy']}, {report['tiles']} tile(s), margin {report['margin']}",
        "seam": f"{report['seam_error']:.2f}",
    }


def _case(text: str) -> tuple[int, int, float]:
    size, limit = text.split("@")
    width, height = size.split("x")
    return int(width), int(height), float(limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_options(parser)
    parser.add_argument("--only", metavar="MODEL", help="models with this in their names")
    parser.add_argument(
        "--case", type=_case, nargs="+", metavar="WxH@GB", help="instead of the usual ones: 300x200@0.5"
    )
    parser.add_argument("--precision", default="exact", choices=("auto", "exact", "bf16"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        job = Job(**json.loads(options.child))
        use_threads(job.threads)
        answer(measure(job))
        return
    with tempfile.TemporaryDirectory() as scratch:
        results = compare(options, Path(scratch))
    if not results:
        raise SystemExit(f"none of the models of the usual cases is in {options.models_dir}; give some with --case")
    print(f"{json.dumps(machine())}\n")
    print(table([row(result) for result in results]))
    write_json(options.json, {"machine": machine(), "results": results})


if __name__ == "__main__":
    main()
