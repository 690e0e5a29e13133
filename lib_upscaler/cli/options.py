"""The command line's words: which options there are, and what they mean as plain values. No torch."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NoReturn

from .. import __version__
from ..catalogue import PURPOSES
from ..errors import RequestError
from ..fields import (
    GIGABYTE,
    Field,
    Place,
    as_request,
    checked,
    default_of,
    fields_of,
    size_of,
    ways_given,
)
from ..models.folders import MODELS_VARIABLE
from ..pictures.formats import output_formats
from ..request import UpscaleRequest

__all__ = ["byte_count", "parse", "request_of"]

PLACE: Place = "command line"
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
    upscale = _add_upscale(commands)
    _add_models(commands)
    _add_inspect(commands)
    _add_catalogue(commands)
    _add_download(commands)
    options = parser.parse_args(words)
    if options.command == "upscale":
        if not options.inputs and not (options.resume or options.retry_failed):
            upscale.error("the following arguments are required: INPUT")
        options.defaults = {action.dest: action.default for action in upscale._actions}
    return options


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


def _add_upscale(commands: argparse._SubParsersAction) -> _Parser:
    parser = _command(commands, "upscale", "upscale pictures, or folders of them", _EXIT_CODES)
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="picture files, or folders of them, here or at addresses such as s3://bucket/folder; @FILE for a list of"
        " names, - for one on standard input",
    )
    _add_output_options(parser)
    _add_journal_options(parser)
    _add_model_options(parser)
    _add_size_options(parser)
    _add_engine_options(parser)
    return parser


def _add_output_options(parser: _Parser) -> None:
    group = parser.add_argument_group("files")
    group.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="the file to write; a folder where there are several inputs, where it is one, or has no suffix"
        " (default: <name>-upscaled.png beside each input, of an animation .gif, .webp ...)",
    )
    group.add_argument(
        "--format",
        type=str.lower,
        choices=[*output_formats(), "jpeg", "tif"],
        help="of the results (default: what the suffix of -o says; else png, and of animations and files of several"
        " pages their own)",
    )
    group.add_argument(
        "--frames",
        choices=["all", "first"],
        default="all",
        help="of an animation, or the pages of a TIFF: each of them, where the format holds them, or the first alone"
        " (default: all)",
    )
    group.add_argument("--quality", type=_quality, metavar="1-100", help="for jpg (default 95) and webp (lossless)")
    group.add_argument("--recursive", action="store_true", help="look into the sub-folders of folders; they are kept")
    existing = group.add_mutually_exclusive_group()
    existing.add_argument("--skip-existing", action="store_true", help="leave out pictures whose result is there")
    existing.add_argument("--overwrite", action="store_true", help="replace results that are there")
    group.add_argument("--report", metavar="FILE", help="append a line of JSON for each picture to this file")
    group.add_argument("--quiet", action="store_true", help="say nothing but warnings and errors")


def _add_journal_options(parser: _Parser) -> None:
    group = parser.add_argument_group("large folders")
    group.add_argument(
        "--journal",
        metavar="FILE",
        help="keep there what is planned, done and failed, as an SQLite file that anybody may read meanwhile",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on with the journal, whatever ended its run; inputs and settings need not be given again",
    )
    group.add_argument("--retry-failed", action="store_true", help="the same, and try what failed again")
    group.add_argument(
        "--identical-once",
        action="store_true",
        help="of pictures whose files are the same to the byte, upscale one and copy its result",
    )
    group.add_argument(
        "--cluster",
        metavar="auto|ADDRESS",
        help="let a Ray cluster do the work: auto for the one that this machine belongs to (docs/scale.md)",
    )
    group.add_argument(
        "--worker-cpus",
        type=_positive,
        metavar="N",
        help="on a cluster without cards: processor cores for each worker (default: one worker with all of a node)",
    )


def _add_model_options(parser: _Parser) -> None:
    group = parser.add_argument_group("models")
    _add_fields(group, "models")
    _add_models_dir(group)


def _add_fields(group: argparse._ActionsContainer, *names: str) -> None:
    """An option for each field of these groups that the command line has."""
    for field in fields_of(PLACE):
        if field.group not in names:
            continue
        at, about = field.at[PLACE], field.about_at(PLACE)
        common: dict[str, Any] = {"dest": field.name, "help": about, "default": field.default_at(PLACE)}
        if field.kind == "switch":
            group.add_argument(at.key, action="store_true", **common)
        elif field.kind == "choice":
            group.add_argument(at.key, choices=field.choices_at(PLACE), **common)
        else:
            group.add_argument(at.key, type=_type_of(field), metavar=_metavar(field), **common)


def _type_of(field: Field) -> Callable[[str], Any]:
    """What reads the option's word."""
    if field.words:
        return _tile
    if field.kind != "number":
        return str
    number = _whole if field.whole else _number
    return {"x": _scale, "px": _pixels, "GB": _memory}.get(field.unit, number)


def _metavar(field: Field) -> str:
    if field.words:
        return "|".join((*field.words, "N"))
    if field.kind != "number":
        return "NAME|PATH" if field.kind == "model" else "TEXT"
    span = f"{field.low:g}-{field.high:g}" if (field.low, field.high) == (0, 1) else "N"
    return {"px": "PX", "GB": "SIZE"}.get(field.unit, span)


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
    _add_fields(parser.add_argument_group("size (default: the model's own scale)"), "size")


def _add_engine_options(parser: _Parser) -> None:
    group = parser.add_argument_group("how it runs")
    _add_fields(group, "engine", "tiles")
    _add_fields(parser.add_argument_group("LDSR, and its like"), "ldsr")
    group.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, cuda, cuda:1, mps ...; several with commas between, or all, get a worker each (default: auto)",
    )
    group.add_argument(
        "--plan",
        action="store_true",
        help="only tell size, tiles, time and memory for each picture; nothing is run or written",
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


def request_of(options: argparse.Namespace, model: str) -> UpscaleRequest:
    """What the core is asked for. model: where none is named, the one to take. Raises RequestError, SizeError."""
    values = checked(PLACE, {field.name: getattr(options, field.name) for field in fields_of(PLACE)})
    way = ways_given(PLACE, values)
    if values["fit"] is not None and way != "Scale to":
        raise RequestError("--fit is given, but no box to fit into", "", "add --width and --height")
    if values["upscaler_2"] is None and values["visibility"]:
        raise RequestError("a visibility is given, but no second model", "", "name the second model as well")
    if values["visibility"] is None:
        values["visibility"] = default_of("visibility", "extras")
    return as_request({**values, "upscaler_1": model}, size_of(PLACE, values, way), lambda name: name)


def byte_count(text: str) -> int:
    """``2GB`` and ``2G`` are 2 * 10^9, ``2GiB`` is 2 * 2^30, a bare number is bytes. Raises ValueError."""
    match = re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)\s*(?:([kmgt])(i?)b?|b|bytes)?", text.strip().lower())
    if match is None:
        raise ValueError(f"'{text}' is no amount of memory; write it as 2GB or 500MB")
    number, unit, binary = match.groups()
    return int(Fraction(number.rstrip(".")) * (_BINARY_BYTES[unit] if binary else _BYTES[unit or ""]))


def _memory(text: str) -> float:
    """GB."""
    try:
        size = byte_count(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if size < _SMALLEST_MEMORY:
        raise argparse.ArgumentTypeError(f"'{text}' is less than 1 MB; write it with a unit, as 2GB or 500MB")
    return size / GIGABYTE


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


def _positive(text: str) -> int:
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


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
