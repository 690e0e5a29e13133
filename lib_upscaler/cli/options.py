"""The command line's words: which options there are, and what they mean as plain values. No torch."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction
from typing import NoReturn

from .. import __version__
from ..catalogue import PURPOSES
from ..errors import RequestError
from ..models.folders import MODELS_VARIABLE
from ..models.library import SHIPPED_MODEL
from ..pictures.formats import output_formats
from ..planning.sizing import FITS, ByDimensions, ByLongestSide, ByMegapixels, ByScale, SizeRequest

__all__ = ["byte_count", "parse", "size_request"]

DEFAULT_VISIBILITY = 0.5
_SMALLEST_MEMORY = 1_000_000
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_BYTES = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}

_EXAMPLES = """\
examples:
  {program} upscale photo.jpg
  {program} upscale photo.jpg --model RealESRGAN_x4plus
  {program} upscale photos -o large --recursive --model 4x.pth --scale 2 --format jpg
  {program} models
  {program} catalogue --for photos
  {program} download 4x-realesrgan-x4plus
"""
_EXIT_CODES = """\
Sizes are exact, halves rounded up. Metadata is kept as far as the format can hold it. An input is never overwritten.
exit status: 0 all done, 1 some failed, 2 wrong use, 130 cancelled (Ctrl-C)
"""


class _Parser(argparse.ArgumentParser):
    """Tells a wrong word in one line; the whole usage would bury it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\nAll options: {self.prog} --help\n")


def parse(words: list[str] | None, program: str) -> argparse.Namespace:
    """The options. Ends the program (SystemExit) for --help, --version and wrong words."""
    parser = _Parser(
        prog=program,
        description="TrueScale: pictures enlarged by a network's true output.",
        epilog=_EXAMPLES.format(program=program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"TrueScale {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_upscale(commands)
    _add_models(commands)
    _add_inspect(commands)
    _add_catalogue(commands)
    _add_download(commands)
    return parser.parse_args(words)


def _command(commands: argparse._SubParsersAction, name: str, summary: str, epilog: str = "") -> _Parser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--debug", action="store_true", help="show where in the program an error came from")
    return parser


def _add_upscale(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "upscale", "upscale pictures, or folders of them", _EXIT_CODES)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="picture files, or folders of them")
    _add_output_options(parser)
    _add_model_options(parser)
    _add_size_options(parser)
    _add_engine_options(parser)


def _add_output_options(parser: _Parser) -> None:
    group = parser.add_argument_group("files")
    group.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="the file to write; a folder where there are several inputs, where it is one, or has no suffix"
        " (default: <name>-upscaled.png beside each input)",
    )
    group.add_argument(
        "--format",
        type=str.lower,
        choices=[*output_formats(), "jpeg", "tif"],
        help="of the results (default: what the suffix of -o says, else png)",
    )
    group.add_argument("--quality", type=_quality, metavar="1-100", help="for jpg (default 95) and webp (lossless)")
    group.add_argument("--recursive", action="store_true", help="look into the sub-folders of folders; they are kept")
    existing = group.add_mutually_exclusive_group()
    existing.add_argument("--skip-existing", action="store_true", help="leave out pictures whose result is there")
    existing.add_argument("--overwrite", action="store_true", help="replace results that are there")
    group.add_argument("--report", metavar="FILE", help="append a line of JSON for each picture to this file")
    group.add_argument("--quiet", action="store_true", help="say nothing but warnings and errors")


def _add_model_options(parser: _Parser) -> None:
    group = parser.add_argument_group("models")
    group.add_argument(
        "--model",
        metavar="NAME|PATH",
        help=f"the model: its name in a folder of models, or its file (default: {SHIPPED_MODEL});"
        ' "A > B": A once, then B on what it gave',
    )
    group.add_argument(
        "--clean-up",
        metavar="NAME|PATH",
        help="a model that repairs the picture first, at its own size: a 1x network, or one whose result is made small",
    )
    _add_models_dir(group)
    group.add_argument("--model2", metavar="NAME|PATH", help="a second model, whose result is mixed in")
    group.add_argument(
        "--visibility",
        type=_number,
        metavar="0-1",
        help=f"of the second model; at 0 or 1 only the model that is seen runs (default: {DEFAULT_VISIBILITY})",
    )


def _add_models_dir(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--models-dir",
        action="append",
        default=[],
        metavar="DIR",
        help="a folder of models, sub-folders included; may be given several times (default: the folders in"
        f" {MODELS_VARIABLE}, else models/ESRGAN here or in the WebUI, and models beside the program)",
    )


def _add_size_options(parser: _Parser) -> None:
    group = parser.add_argument_group("size (default: the model's own scale)")
    group.add_argument("--scale", type=_scale, metavar="N", help="times as large, 0.05 to 32")
    group.add_argument("--width", type=_pixels, metavar="PX", help="alone: the height follows")
    group.add_argument("--height", type=_pixels, metavar="PX", help="alone: the width follows")
    group.add_argument(
        "--fit",
        choices=FITS,
        help="with width and height: as large as fits inside (default), crop what sticks out, stretch, or pad",
    )
    group.add_argument("--max-side", type=_pixels, metavar="PX", help="the longer side")
    group.add_argument("--megapixels", type=_number, metavar="N", help="the area, in millions of pixels")


def _add_engine_options(parser: _Parser) -> None:
    group = parser.add_argument_group("how it runs")
    group.add_argument(
        "--precision",
        choices=("auto", "exact", "fp16", "bf16"),
        default="auto",
        help="exact is float32; auto takes a smaller one where it is faster and hardly differs (default: auto)",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps ... (default: auto)")
    group.add_argument(
        "--tile",
        type=_tile,
        default="auto",
        metavar="auto|none|N",
        help="side of a tile in pixels of the input, its margin comes on top (default: auto, as memory needs)",
    )
    group.add_argument(
        "--memory",
        type=_memory,
        metavar="SIZE",
        help="how much memory may be used above what the loaded models take, such as 2GB, 500MB, 1.5GiB"
        " (default: a share of what is free)",
    )
    group.add_argument(
        "--alpha",
        choices=("network", "fast", "drop"),
        default="network",
        help="transparency: through the network (default), resampled, or the picture put on white",
    )
    group.add_argument(
        "--plan",
        action="store_true",
        help="only tell size, tiles, time and memory for each picture; nothing is run or written",
    )
    group.add_argument(
        "--verify",
        action="store_true",
        help="also run the untiled float32 network on the CPU and tell the difference",
    )


def _add_models(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "models", "list the models that are found")
    _add_models_dir(parser)
    parser.add_argument("--json", action="store_true", help="all that is known of them, as JSON")


def _add_inspect(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "inspect", "tell all about one model")
    parser.add_argument("model", metavar="FILE", help="a model file, or a model's name")
    _add_models_dir(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_catalogue(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "catalogue", "list well-known models that can be downloaded")
    parser.add_argument(
        "--for",
        dest="purpose",
        type=_purpose,
        metavar="PURPOSE",
        help=f"only those for: {', '.join(PURPOSES)}",
    )
    parser.add_argument("--scale", type=_scale, metavar="N", help="only those of this scale")
    parser.add_argument("--json", action="store_true", help="all that is known of them, as JSON")


def _add_download(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "download", "download a model of the catalogue, and check it")
    parser.add_argument("model", metavar="NAME", help="its name in the catalogue")
    parser.add_argument("--to", metavar="FOLDER", help="where to (default: the first folder of models)")
    _add_models_dir(parser)
    parser.add_argument("--quiet", action="store_true", help="say nothing but warnings and errors")


# -- what the words mean -----------------------------------------------------------------------------------------------


def size_request(options: argparse.Namespace) -> SizeRequest | None:
    """The size asked for; None for the model's own scale. Raises RequestError."""
    box = options.width is not None or options.height is not None
    ways = {
        "--scale": options.scale is not None,
        "--width and --height": box,
        "--max-side": options.max_side is not None,
        "--megapixels": options.megapixels is not None,
    }
    given = [way for way, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise RequestError("the size is given in several ways", ", ".join(given), "choose one of them")
    if options.fit is not None and not box:
        raise RequestError("--fit is given, but no box to fit into", "", "add --width and --height")
    if box:
        return ByDimensions(options.width, options.height, options.fit or "inside")
    if options.max_side is not None:
        return ByLongestSide(options.max_side)
    if options.megapixels is not None:
        return ByMegapixels(options.megapixels)
    return ByScale(options.scale) if options.scale is not None else None


def byte_count(text: str) -> int:
    """``2GB`` and ``2G`` are 2 * 10^9, ``2GiB`` is 2 * 2^30, a bare number is bytes. Raises ValueError."""
    match = re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(?:([kmgt])(i?)b?|b|bytes)?", text.strip().lower())
    if match is None:
        raise ValueError(f"'{text}' is no amount of memory; write it as 2GB or 500MB")
    number, unit, binary = match.groups()
    return int(Fraction(number.rstrip(".")) * (_BINARY_BYTES[unit] if binary else _BYTES[unit or ""]))


def _memory(text: str) -> int:
    try:
        size = byte_count(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if size < _SMALLEST_MEMORY:
        raise argparse.ArgumentTypeError(f"'{text}' is less than 1 MB; write it with a unit, as 2GB or 500MB")
    return size


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None


def _scale(text: str) -> float:
    """``4`` or ``4x``."""
    return _number(text[:-1] if text[-1:] in ("x", "X") else text)


def _purpose(text: str) -> str:
    """A purpose by its beginning, in any letter case."""
    fitting = [purpose for purpose in PURPOSES if purpose.casefold().startswith(text.strip().casefold())]
    if len(fitting) != 1:
        raise argparse.ArgumentTypeError(f"'{text}' is none of: {', '.join(PURPOSES)}")
    return fitting[0]


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return int(text)


def _pixels(text: str) -> int:
    """``640`` or ``640px``."""
    return _whole(text[:-2] if text.lower().endswith("px") else text)


def _quality(text: str) -> int:
    quality = _whole(text)
    if not 1 <= quality <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 100")
    return quality


def _tile(text: str) -> int | str:
    word = text.lower()
    if word in ("auto", "none"):
        return word
    try:
        return _pixels(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither auto, none nor a number of pixels") from None
