"""``python -m tools.training``: train TrueScale 4x, export it, measure it, picture it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

from lib_upscaler.errors import TrueScaleError

from .settings import MODEL_NAME, VALIDATION_PHOTOS, TrainingSettings

_HELP = f"""\
Trains the model that ships with TrueScale, '{MODEL_NAME}'. Needs the extra 'training':
pip install -e ".[host,training]" (with 'host', so that numpy and Pillow stay as the WebUIs have them).

  python -m tools.training train --photos PHOTOS --out RUN
      trains with the settings that the shipped weights were made with (train --help lists them), writes a log and
      checkpoints into RUN, and goes on from there when started again; at the end RUN holds '{MODEL_NAME}.safetensors'
  python -m tools.training measure --photos PHOTOS --models MODELS [--model FILE] [--card FILE]
      the figures of the README: luma PSNR and SSIM of Lanczos, bicubic and the networks on what was held back
  python -m tools.training picture --photos PHOTOS --models MODELS --out FILE
      the README's picture: Lanczos, {MODEL_NAME} and R-ESRGAN 4x+ side by side

PHOTOS: a folder of large photos; those called {" and ".join(VALIDATION_PHOTOS)} are held back for validation.
"""


def main(words: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.training", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    for name, summary in (("measure", "the figures"), ("picture", "the comparison")):
        command = commands.add_parser(name, help=summary)
        command.add_argument("--photos", type=Path, required=True)
        command.add_argument("--models", type=Path, required=True, help="folder of the other networks")
        command.add_argument("--model", type=Path, help=f"instead of the {MODEL_NAME} that ships")
        if name == "picture":
            command.add_argument("--out", type=Path, required=True)
        else:
            command.add_argument("--card", type=Path, help="the same file: write the figures into it")
            command.add_argument("--limit", type=int, default=8, help="crops of each photo and size (default: 8)")
    options = parser.parse_args(words)
    try:
        return {"train": _train, "measure": _measure, "picture": _picture}[options.command](options)
    except (TrueScaleError, OSError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _add_train(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("train", help="train and export")
    command.add_argument("--photos", type=Path, required=True)
    command.add_argument("--out", type=Path, required=True, help="folder of the run")
    command.add_argument("--device", default="cpu", help="cpu or cuda")
    command.add_argument("--threads", type=int, help="of the processor")
    command.add_argument("--validate-every", type=int, default=1000, metavar="STEPS")
    group = command.add_argument_group("settings (default: those of the shipped weights)")
    for field in fields(TrainingSettings):
        kind = {"int": int, "float": float, "str": str}[str(field.type)]
        group.add_argument(
            f"--{field.name.replace('_', '-')}", type=kind, default=field.default, help=f"{field.default}"
        )


def _train(options: argparse.Namespace) -> int:
    import torch

    from .dataset import Crops, Photos, training_photos
    from .export import export
    from .fonts import training_fonts, validation_fonts
    from .loop import Training
    from .validation import photo_samples, text_samples

    if options.threads:
        torch.set_num_threads(options.threads)
    settings = replace(TrainingSettings(), **{f.name: getattr(options, f.name) for f in fields(TrainingSettings)})
    say = lambda text: print(text, flush=True)  # noqa: E731 - a print that a log's reader sees at once
    crops = Crops(settings, Photos(training_photos(options.photos)), training_fonts())
    samples = {"photos": photo_samples(options.photos, limit=3), "text": text_samples(validation_fonts())}
    training = Training(settings, crops, options.out, samples, torch.device(options.device), say)
    if training.resume():
        say(f"going on from step {training.step}")
    training.run(options.validate_every)
    target = options.out / f"{MODEL_NAME}.safetensors"
    export(training.weights(), target, settings, crops.photos.names, training.seconds)
    say(f"wrote {target}")
    return 0


def _measure(options: argparse.Namespace) -> int:
    from .measure import measure

    return measure(options.photos, options.models, options.model, options.card, options.limit)


def _picture(options: argparse.Namespace) -> int:
    from .measure import side_by_side

    return side_by_side(options.photos, options.models, options.model, options.out)


if __name__ == "__main__":
    sys.exit(main())
