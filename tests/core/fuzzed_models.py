"""Run by ``test_fuzzed_models`` in a process of its own: damages model files at random and reads each.

    python tests/core/fuzzed_models.py FOLDER NUMBER

Prints a line of JSON: what happened that must not, and what the worst file took. The same seed each time.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import struct
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[2])]

from lib_upscaler.errors import MemoryLimitError, ModelError  # noqa: E402 - its folder comes first
from lib_upscaler.models.build import build, read_state_dict  # noqa: E402
from small_networks import compact, rrdb, save_safetensors  # noqa: E402

MOST_SECONDS = 2.0
"""Of the processor: on a busy machine a clock tells of others."""

HARMFUL = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pickle.", "exec", "compile", "import", "pty.")
"""Beginnings of the names of Python's audit events that nothing in a file may cause."""

CALLS = (
    b"cos\nsystem\nX\x02\0\0\0id\x85R", b"\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R", b"ios\nsystem\n",
    b"(cos\nsystem\nI1\no", b"cbuiltins\neval\nX\1\0\0\x001\x85R", b"c__builtin__\ngetattr\n", b"cposix\nsystem\n",
    b"\x81", b"\x92", b"b", b"R", b"ccollections\nOrderedDict\n", b"ctorch\nSize\n", b"ctorch\nFloatStorage\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
)  # fmt: skip
SIZES = (
    b"r\xff\xff\xff\x0f", b"p999999999\n", b"\x8e\0\0\0\0\1\0\0\0", b"\x96\0\0\0\0\1\0\0\0", b"B\xff\xff\xff\x7f",
    b"T\xff\xff\xff\x7f", b"I99999999999999999999\n", b"L7L\n", b"\x8b\xff\xff\xff\x7f",
)  # fmt: skip
SHAPES = (
    b"\x85" * 2000, b"]" * 2000, b"}(" * 500, b"\x8f" * 500, b"2" * 3000, b"0" * 9, b"(", b"e", b"u", b"s", b"a", b"t",
    b".", b"h\0h\0s", b"h\x01b", b"}b", b"N}X\x01\0\0\0as\x86b", b"Q", b"P0\n",
)  # fmt: skip
PIECES = (*CALLS, *SIZES, *SHAPES)
"""Instructions of pickles."""

NUMBERS = (0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, -(2**31))


def originals() -> dict[str, bytes]:
    """Sound files of each format, by the suffix that they are written under."""
    state = compact(scale=2)
    made = {}
    contents = {"a.pth": dict(state), "b.pth": {"params_ema": rrdb(), "epoch": 3}, "c-old.pth": dict(state)}
    for name, content in contents.items():
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization="old" not in name)
        made[name] = buffer.getvalue()
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(build(state, "x").model, torch.rand(1, 3, 8, 8)), buffer)
    made["d.pt"] = buffer.getvalue()
    path = save_safetensors(state, Path(sys.argv[1]) / "made.safetensors")
    made["e.safetensors"] = path.read_bytes()
    return made


def bytes_damaged(data: bytearray, chance: random.Random, where: range) -> bytearray:
    """A few of: bytes changed, cut out, doubled, replaced by pieces or extreme numbers."""
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.choice(where) if where else 0
        kind = chance.randrange(7)
        if kind == 0:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            data[at : at + chance.choice((1, 4, 50, 1000))] = b""
        elif kind == 2:
            data[at:at] = data[at : at + chance.choice((1, 9, 200))] * chance.choice((1, 2, 50))
        elif kind == 3:
            data[at:at] = chance.choice(PIECES)
        elif kind == 4:
            size = chance.choice((2, 4, 8))
            number = chance.choice(NUMBERS) & (2 ** (8 * size) - 1)
            data[at : at + size] = number.to_bytes(size, "little")
        elif kind == 5:
            del data[at:]
        else:
            piece = chance.choice(PIECES)
            data[at : at + len(piece)] = piece
    return data


def table_damaged(whole: bytes, chance: random.Random) -> bytes:
    """A zip archive whose pickle is damaged, sound around it; sometimes packed."""
    made = io.BytesIO()
    packed = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(made, "w", packed) as new:
        for name in old.namelist():
            data = bytearray(old.read(name))
            if name.endswith("data.pkl"):
                data = bytes_damaged(data, chance, range(len(data)))
            new.writestr(name, bytes(data))
    return made.getvalue()


def header_damaged(whole: bytes, chance: random.Random) -> bytes:
    """A safetensors file whose header has other numbers, types and names, with a right length."""
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    for _ in range(chance.choice((1, 2, 5))):
        name = chance.choice(list(header))
        one = header[name]
        kind = chance.randrange(6)
        if kind == 0:
            one[chance.choice(("shape", "data_offsets"))] = [
                chance.choice(NUMBERS) for _ in range(chance.randrange(70))
            ]
        elif kind == 1:
            one["dtype"] = chance.choice(("F64", "F16", "U8", "BOOL", "F8_E4M3", "X", 5, None, []))
        elif kind == 2:
            header[chance.choice(("body.99999999.weight", "", "a" * 5000, "\n\x1b[0m", "__metadata__"))] = one
        elif kind == 3:
            one[chance.choice(("shape", "data_offsets", "more"))] = chance.choice(
                (None, {}, "x", 1e999, [[]], [1.5], [True])
            )
        elif kind == 4:
            del header[name]
        else:
            header[name] = chance.choice((None, [], "x", {}, one["shape"]))
        header = header or {"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}
        if not all(isinstance(value, dict) and "shape" in value for value in header.values()):
            break
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + whole[8 + length :]


def damaged(name: str, whole: bytes, chance: random.Random) -> bytes:
    kind = chance.randrange(3)
    if kind < 2 and whole[:2] == b"PK":
        return table_damaged(whole, chance)
    if kind < 2 and name.endswith(".safetensors"):
        return header_damaged(whole, chance)
    ends = [*range(min(3000, len(whole))), *range(max(0, len(whole) - 3000), len(whole))]
    return bytes(bytes_damaged(bytearray(whole), chance, ends))  # type: ignore[arg-type]


def main() -> None:
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    sound = originals()
    for name, whole in sound.items():  # also loads all that is loaded lazily
        (folder / name).write_bytes(whole)
        build(read_state_dict(folder / name), name)
    b"x".decode("cp437")  # loaded when it is first used, for names in archives
    caused: list[str] = []
    watching = False

    def watch(event: str, given: tuple) -> None:
        writes = event == "open" and isinstance(given[1], str) and set(given[1]) & set("wax+")
        if watching and (writes or event.startswith(HARMFUL)):
            caused.append(f"{event} {given!r}"[:200])

    sys.addaudithook(watch)
    chance, wrong, outcomes, slowest = random.Random(14), [], Counter(), 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index in range(number):
        name = chance.choice(list(sound))
        content = damaged(name, sound[name], chance)
        path = folder / f"{index}{name}"
        path.write_bytes(content)
        started = time.process_time()
        watching = True
        try:
            build(read_state_dict(path), path.name)
            outcomes["read"] += 1
        except (ModelError, MemoryLimitError) as error:
            outcomes[type(error).__name__] += 1
            text = str(error)
            if not (text.isprintable() and path.name in text and len(text) < 700 and error.todo):
                wrong.append(f"{path.name}: {text!r}")
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            wrong.append(f"{path.name}: {type(error).__name__}: {error}"[:300])
        watching = False
        taken = time.process_time() - started
        slowest = max(slowest, taken)
        if taken > MOST_SECONDS:
            wrong.append(f"{path.name}: {taken:.1f} s")
        if not wrong or not wrong[-1].startswith(path.name):
            os.unlink(path)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    found = {"wrong": wrong, "caused": caused, "grown_mb": grown, "slowest": slowest, "outcomes": outcomes}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
