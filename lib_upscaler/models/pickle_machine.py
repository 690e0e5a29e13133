"""Carries out a pickle's instructions on plain values and stand-ins alone.

Python's own unpickler is not used: it imports what a pickle names unless it is kept from it, sets attributes on all
that lies on its stack, hashes tuples nested so deep that the process ends, and takes 4 GB for a memo slot of a high
number. Here an instruction makes a dict, a list, a tuple, a plain value, or what ``World`` answers, and there is a
limit on how many there may be. ``pickletools`` of the standard library says what each instruction means.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any, Protocol

from .stored import Unsound

__all__ = ["Ended", "Machine", "World"]

_MOST_INSTRUCTIONS = 600_000
"""About 40 a tensor. Each takes half a microsecond and up to a few hundred bytes."""
_LONGEST_NAME = 1000
_LONGEST_NUMBER = 1000  # bytes: longer ones take time that grows with the square

_MARK: Any = object()


class Ended(Exception):  # noqa: N818 - a signal to the reader of a file
    """The data end in the middle of the pickle."""


class World(Protocol):
    """What a pickle may reach. Each raises Unsound for what makes no sense."""

    def named(self, name: str) -> object:
        """What stands for the Python object of this name, "module.name"."""

    def called(self, function: object, arguments: tuple) -> object:
        """The result of calling it."""

    def made(self, kind: object) -> object:
        """A new object of this kind, without a call."""

    def filled(self, target: object, state: object) -> None:
        """The object gets its state."""

    def stored(self, identity: object) -> object:
        """What lies beside the pickle under this identity."""

    def is_open(self, target: object) -> bool:
        """Whether items that are put into it are dropped without harm."""


class Machine:
    """Reads pickles that lie one behind the other. position: of the next one."""

    def __init__(self, data: bytes, world: World) -> None:
        self.data, self.world, self.position = data, world, 0
        self.left = _MOST_INSTRUCTIONS

    def load(self) -> object:
        """The next pickle's object. Raises Ended or Unsound."""
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        instructions, take = _INSTRUCTIONS, self._take
        try:
            while True:
                self.spend(1)
                code = take(1)[0]
                if code == _STOP:
                    return self.pop()
                instructions[code](self)
        except (KeyError, IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
            raise Unsound("its table of contents cannot be read") from error

    def spend(self, count: int) -> None:
        """Count work. Raises Unsound beyond the limit."""
        self.left -= count
        if self.left < 0:
            raise Unsound("its table of contents is far too long")

    def _take(self, size: int) -> bytes:
        """The next bytes. Raises Ended."""
        end = self.position + size
        if end > len(self.data):
            raise Ended
        found = self.data[self.position : end]
        self.position = end
        return found

    def sized(self, form: str, longest: int | None = None) -> bytes:
        """Bytes behind their length, which has the struct ``form``."""
        (size,) = struct.unpack(form, self._take(struct.calcsize(form)))
        if size < 0 or (longest is not None and size > longest):
            raise Unsound("a length in its table of contents makes no sense")
        return self._take(size)

    def number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def line(self, longest: int | None = None) -> bytes:
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise Ended
        if longest is not None and end - self.position > longest:
            raise Unsound("a number or name in its table of contents is far too long")
        found = self.data[self.position : end]
        self.position = end + 1
        return found

    # The stack

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise Unsound("its table of contents cannot be read")
        return value

    def top(self) -> Any:
        if self.stack[-1] is _MARK:
            raise Unsound("its table of contents cannot be read")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        """What lies above the last mark, taken off with it."""
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                found = self.stack[index + 1 :]
                del self.stack[index:]
                return found
        raise Unsound("its table of contents cannot be read")

    def last(self, count: int) -> tuple:
        return tuple(reversed([self.pop() for _ in range(count)]))

    # What several instructions do

    def name(self, module: object, name: object) -> None:
        if not (isinstance(module, str) and isinstance(name, str) and len(module) + len(name) <= _LONGEST_NAME):
            raise Unsound("a name in its table of contents makes no sense")
        self.push(self.world.named(f"{module}.{name}"))

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(values)
        elif not self.world.is_open(target):
            raise Unsound("its table of contents cannot be read")

    def put_items(self, values: list[Any]) -> None:
        target = self.top()
        if len(values) % 2:
            raise Unsound("its table of contents cannot be read")
        if isinstance(target, dict):
            put_items(target, values)
        elif not self.world.is_open(target):
            raise Unsound("its table of contents cannot be read")

    def make(self, kind: object, arguments: list[Any]) -> None:
        """As old pickles make objects: what gets arguments is called."""
        self.push(self.world.called(kind, tuple(arguments)) if arguments else self.world.made(kind))


def put_items(target: dict, values: list[Any]) -> None:
    """Keys and values by turns. Only texts name weights; to hash others may take for ever, or end the process."""
    for key, value in zip(values[::2], values[1::2]):
        if isinstance(key, str):
            target[key] = value


# Instructions


def _mark_list(machine: Machine) -> None:
    machine.push(machine.since_mark())


def _dict(machine: Machine) -> None:
    values, made = machine.since_mark(), {}  # type: ignore[var-annotated]
    put_items(made, values)
    machine.push(made)


def _pop(machine: Machine) -> None:
    machine.stack.pop()


def _stack_global(machine: Machine) -> None:
    module, name = machine.last(2)
    machine.name(module, name)


def _global(machine: Machine) -> None:
    module, name = (machine.line(_LONGEST_NAME).decode("utf-8") for _ in range(2))
    machine.name(module, name)


def _reduce(machine: Machine) -> None:
    function, arguments = machine.last(2)
    if not isinstance(arguments, tuple):
        raise Unsound("its table of contents cannot be read")
    machine.push(machine.world.called(function, arguments))


def _newobj(machine: Machine, count: int) -> None:
    kind, *_ = machine.last(count)
    machine.push(machine.world.made(kind))


def _build(machine: Machine) -> None:
    state = machine.pop()
    machine.world.filled(machine.top(), state)


def _inst(machine: Machine) -> None:
    _global(machine)
    kind = machine.pop()
    machine.make(kind, machine.since_mark())


def _obj(machine: Machine) -> None:
    kind, *arguments = machine.since_mark()
    machine.make(kind, arguments)


def _append(machine: Machine) -> None:
    value = machine.pop()
    machine.extend([value])


def _setitem(machine: Machine) -> None:
    machine.put_items(list(machine.last(2)))


def _additems(machine: Machine) -> None:
    machine.since_mark()
    if not machine.world.is_open(machine.top()):
        raise Unsound("its table of contents cannot be read")


def _frozenset(machine: Machine) -> None:
    machine.since_mark()
    machine.push(machine.world.named("builtins.frozenset"))


def _remember(machine: Machine, index: int) -> None:
    machine.memo[index] = machine.top()


def _whole(machine: Machine) -> None:
    text = machine.line(_LONGEST_NUMBER)
    machine.push({b"00": False, b"01": True}[text] if text in (b"00", b"01") else int(text))


def _long(form: str) -> Callable[[Machine], None]:
    return lambda m: m.push(int.from_bytes(m.sized(form, _LONGEST_NUMBER), "little", signed=True))


def _text(form: str) -> Callable[[Machine], None]:
    return lambda m: m.push(m.sized(form).decode("utf-8", "surrogatepass"))


def _old_text(form: str) -> Callable[[Machine], None]:
    """latin1: any byte is a letter, so that strings of Python 2 never fail."""
    return lambda m: m.push(m.sized(form).decode("latin1"))


def _bytes(form: str) -> Callable[[Machine], None]:
    return lambda m: m.push(m.sized(form))


def _old_string(machine: Machine) -> None:
    text = machine.line()
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
        raise Unsound("its table of contents cannot be read")
    machine.push(codecs.escape_decode(text[1:-1])[0].decode("latin1"))  # type: ignore[attr-defined]


_STOP = ord(".")
_INSTRUCTIONS: dict[int, Callable[[Machine], Any]] = {
    ord(code): instruction
    for code, instruction in {
        "\x80": lambda m: m._take(1), "\x95": lambda m: m._take(8),  # PROTO, FRAME
        "(": lambda m: m.push(_MARK), "0": _pop, "1": lambda m: m.since_mark(), "2": lambda m: m.push(m.top()),
        "N": lambda m: m.push(None), "\x88": lambda m: m.push(True), "\x89": lambda m: m.push(False),
        "I": _whole, "L": lambda m: m.push(int(m.line(_LONGEST_NUMBER).rstrip(b"L"))),
        "J": lambda m: m.push(m.number("<i")), "K": lambda m: m.push(m._take(1)[0]),
        "M": lambda m: m.push(m.number("<H")), "\x8a": _long("<B"), "\x8b": _long("<i"),
        "F": lambda m: m.push(float(m.line(_LONGEST_NUMBER))), "G": lambda m: m.push(m.number(">d")),
        "V": lambda m: m.push(m.line().decode("raw-unicode-escape")), "S": _old_string,
        "X": _text("<I"), "\x8c": _text("<B"), "\x8d": _text("<Q"), "T": _old_text("<i"), "U": _old_text("<B"),
        "B": _bytes("<I"), "C": _bytes("<B"), "\x8e": _bytes("<Q"), "\x96": _bytes("<Q"),
        ")": lambda m: m.push(()), "t": lambda m: m.push(tuple(m.since_mark())), "\x85": lambda m: m.push(m.last(1)),
        "\x86": lambda m: m.push(m.last(2)), "\x87": lambda m: m.push(m.last(3)),
        "]": lambda m: m.push([]), "l": _mark_list, "a": _append, "e": lambda m: m.extend(m.since_mark()),
        "}": lambda m: m.push({}), "d": _dict, "s": _setitem, "u": lambda m: m.put_items(m.since_mark()),
        "\x8f": lambda m: m.push(m.world.named("builtins.set")), "\x90": _additems, "\x91": _frozenset,
        "p": lambda m: _remember(m, int(m.line(20))), "q": lambda m: _remember(m, m._take(1)[0]),
        "r": lambda m: _remember(m, m.number("<I")), "\x94": lambda m: _remember(m, len(m.memo)),
        "g": lambda m: m.push(m.memo[int(m.line(20))]), "h": lambda m: m.push(m.memo[m._take(1)[0]]),
        "j": lambda m: m.push(m.memo[m.number("<I")]),
        "c": _global, "\x93": _stack_global, "R": _reduce, "b": _build, "i": _inst, "o": _obj,
        "\x81": lambda m: _newobj(m, 2), "\x92": lambda m: _newobj(m, 3),
        "P": lambda m: m.push(m.world.stored(m.line(_LONGEST_NAME).decode("utf-8"))),
        "Q": lambda m: m.push(m.world.stored(m.pop())),
    }.items()
}  # fmt: skip
"""Not among them: the extension registry and buffers outside of the pickle, which no model file has."""
