"""What our engine costs beside the network itself: a folder of pictures through a Compact network.

    python tests/benchmarks/bench_overhead.py [--count 50] [--size 512x512] [--precision auto]

Once through ``Upscaler.upscale`` and once through the bare network (same precision, channels last, whole, same heap
settings, tensors ready), each in a process of its own. Reading and writing files is measured apart. So is the first
picture after a start, beside the second: with what earlier starts have left on the disk, in a process that has imported
torch and torchvision, as a WebUI has.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import spandrel
import torch
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
from PIL import Image

MODEL = "realesr-animevideov3-x4"
RANDOM_MODEL = "compact"
WARM_UP = 2
"""Pictures that are not counted; the first one also pays for the probe."""


@dataclass(frozen=True)
class Job:
    """kind: "ours", "bare" or "first". precision: asked for, or for the bare network that which ours ran in."""

    kind: str
    model: str
    folder: str
    precision: str
    threads: int | None


# -- in the child ------------------------------------------------------------------------------------------------------


def ours(job: Job) -> dict[str, Any]:
    """Times of the pictures, of reading and writing them, and how often the model was loaded."""
    from lib_upscaler import ModelLibrary, Upscaler, UpscaleRequest
    from lib_upscaler.models import loader
    from lib_upscaler.pictures.reading import read_picture
    from lib_upscaler.pictures.writing import write_picture

    upscaler = Upscaler(ModelLibrary([]), "cpu")
    request = UpscaleRequest(job.model, precision=job.precision)
    written = Path(job.folder).with_name("result.png")
    with mock.patch.object(loader, "load_model", wraps=loader.load_model) as loads:
        times: dict[str, list[float]] = {"read": [], "wall": [], "cpu": [], "write": []}
        for path in sorted(Path(job.folder).glob("*.png")):
            marks = [time.perf_counter()]
            source = read_picture(path)
            marks.append(time.perf_counter())
            cpu = time.process_time()
            result = upscaler.upscale(source.image, request)
            times["cpu"].append(time.process_time() - cpu)
            marks.append(time.perf_counter())
            write_picture(result.image, written, source.metadata, overwrite=True)
            marks.append(time.perf_counter())
            for name, before, after in zip(("read", "wall", "write"), marks, marks[1:]):
                times[name].append(after - before)
        counted = {name: values[WARM_UP:] for name, values in times.items()}
        return {**counted, "loads": loads.call_count, "report": result.report.to_json()}


def bare(job: Job) -> dict[str, Any]:
    """Times of the network's forward alone, on tensors that are ready."""
    from lib_upscaler.pictures.reading import read_picture
    from lib_upscaler.running.heap import steady_heap

    descriptor = spandrel.ModelLoader(device="cpu").load_from_file(job.model)
    dtype = getattr(torch, job.precision)
    descriptor.model.eval().to(dtype=dtype, memory_format=torch.channels_last)
    times: dict[str, list[float]] = {"wall": [], "cpu": []}
    with torch.inference_mode(), steady_heap():
        for path in sorted(Path(job.folder).glob("*.png")):
            planes = torch.from_numpy(np.array(read_picture(path).image)).permute(2, 0, 1)[None]
            tensor = (planes.float() / 255).to(dtype).contiguous(memory_format=torch.channels_last)
            wall, cpu = time.perf_counter(), time.process_time()
            descriptor.model(tensor)
            times["wall"].append(time.perf_counter() - wall)
            times["cpu"].append(time.process_time() - cpu)
    return {name: values[WARM_UP:] for name, values in times.items()}


def first(job: Job) -> dict[str, Any]:
    """Wall and processor time of our imports, and of the first and the second picture; and of parts of the first."""
    with contextlib.suppress(ImportError):
        import torchvision  # noqa: F401
    image = Image.open(min(Path(job.folder).glob("*.png"))).convert("RGB")
    marks = [(time.perf_counter(), time.process_time())]
    from lib_upscaler import ModelLibrary, Upscaler, UpscaleRequest

    marks.append((time.perf_counter(), time.process_time()))
    from lib_upscaler.models import build, loader, network, spandrels

    upscaler = Upscaler(ModelLibrary([]), "cpu")
    request = UpscaleRequest(job.model, precision=job.precision)
    parts: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        for module, name in (
            (spandrels, "_ours"),
            (loader, "read_model"),
            (build, "construct"),
            (loader, "facts_of"),
            (network, "sound_parts"),
            (network, "faster_for"),
        ):
            counted = _counted(getattr(module, name), name, parts)
            stack.enter_context(mock.patch.object(module, name, counted))
        for _ in range(2):
            upscaler.upscale(image, request)
            marks.append((time.perf_counter(), time.process_time()))
    names = ("imports", "first picture", "second picture")
    spent = {name: [b - a for a, b in zip(*pair)] for name, pair in zip(names, zip(marks, marks[1:]))}
    return {"spent": spent, "parts": parts}


def _counted(function: Any, name: str, parts: dict[str, float]) -> Any:
    """The function; its processor time is added up under ``name``."""

    def timed(*given: Any, **named: Any) -> Any:
        started = time.process_time()
        try:
            return function(*given, **named)
        finally:
            parts[name] = parts.get(name, 0.0) + time.process_time() - started

    return timed


def child(text: str) -> None:
    job = Job(**json.loads(text))
    use_threads(job.threads)
    answer({"ours": ours, "bare": bare, "first": first}[job.kind](job))


# -- in the parent -----------------------------------------------------------------------------------------------------


def compare(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    wanted = MODEL if (options.models_dir / f"{MODEL}.safetensors").exists() else RANDOM_MODEL
    model = options.model or model_files(options.models_dir, scratch, wanted)[0]
    folder = scratch / "pictures"
    folder.mkdir()
    width, height = (int(side) for side in options.size.split("x"))
    picture = np.array(picture_of(width, height, default_images()))
    for number in range(options.count + WARM_UP):
        # Each a little different: nothing may be remembered from the one before.
        Image.fromarray(np.roll(picture, 7 * number, axis=1)).save(folder / f"{number:03}.png")
    cache = scratch / "cache"
    common = {"model": str(model), "folder": str(folder), "threads": options.threads}
    found = in_child(__file__, asdict(Job(kind="ours", precision=options.precision, **common)), cache)
    if "error" in found:
        raise SystemExit(f"our engine: {found['error']}")
    plain = in_child(__file__, asdict(Job(kind="bare", precision=found["report"]["precision"], **common)), cache)
    if "error" in plain:
        raise SystemExit(f"the bare network: {plain['error']}")
    start = in_child(__file__, asdict(Job(kind="first", precision=options.precision, **common)), cache)
    if "error" in start:
        raise SystemExit(f"the first picture: {start['error']}")
    return {"machine": machine(), "model": Path(model).stem, "ours": found, "bare": plain, "start": start}


def rows(measured: dict[str, Any]) -> list[dict[str, str]]:
    ours, bare = measured["ours"], measured["bare"]
    made = []
    for name, kind in (("wall time", "wall"), ("processor time", "cpu")):
        a, b = sum(ours[kind]), sum(bare[kind])
        middle = statistics.median(ours[kind]) / statistics.median(bare[kind]) - 1
        made.append(
            {
                "": name,
                "ours, all s": f"{a:.2f}",
                "bare network, all s": f"{b:.2f}",
                "overhead": f"{a / b - 1:+.1%}",
                "... of the median picture": f"{middle:+.1%}",
            }
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_options(parser)
    parser.add_argument("--model", type=Path, help=f"file of a Compact network; default {MODEL}")
    parser.add_argument("--count", type=int, default=50, help="pictures that are counted (default 50)")
    parser.add_argument("--size", default="512x512", help="width x height (default 512x512)")
    parser.add_argument("--precision", default="auto", choices=("auto", "exact", "bf16"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    with tempfile.TemporaryDirectory() as scratch:
        measured = compare(options, Path(scratch))
    ours = measured["ours"]
    print(f"{json.dumps(measured['machine'])}\n")
    print(
        f"{measured['model']}, {len(ours['wall'])} pictures of {options.size}, {ours['report']['strategy']}, ", end=""
    )
    print(f"{ours['report']['precision']}; the model was loaded {ours['loads']} time(s)\n")
    print(table(rows(measured)))
    read, write = (statistics.mean(ours[name]) for name in ("read", "write"))
    print(f"\nfiles, not in the above: reading {read:.3f} s and writing {write:.3f} s per picture (PNG)")
    print("\nafter a start, seconds by the clock / of processor time:")
    for name, (wall, cpu) in measured["start"]["spent"].items():
        print(f"  {name}: {wall:.2f} / {cpu:.2f}")
    within = ", ".join(f"{name} {seconds:.3f}" for name, seconds in measured["start"]["parts"].items())
    print(f"  processor time within the first: {within}")
    write_json(options.json, measured)


if __name__ == "__main__":
    main()
