"""A model file that means harm, or changes while it is read, is one line of words; the others work, and so do we."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from effort import rounds
from lib_upscaler import store
from lib_upscaler.cli.commands import main
from lib_upscaler.errors import ModelError, ModelFileError, UnsafeModelError, UnsupportedModelError
from lib_upscaler.models import loader
from lib_upscaler.models.build import build
from lib_upscaler.models.card import read_card
from lib_upscaler.models.facts import known_facts
from lib_upscaler.models.library import entry_of
from lib_upscaler.models.loader import describe, load_model
from lib_upscaler.models.weights import read_model, read_state_dict
from small_networks import compact, rrdb, save_pth, save_safetensors

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / "cache"))
    yield
    store._shared_cache.cache_clear()


def refused(path: Path, megabytes: float = 150, seconds: float = 2) -> ModelError:
    """The error for this file, which must come soon, take little memory and be one line."""
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(ModelError) as caught:
            build(read_state_dict(path), path.name)
        taken = time.process_time() - started
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1e6 + path.stat().st_size
    assert taken < seconds * 3, "tracing memory takes three times as long"
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()
    assert path.name in str(caught.value)
    return caught.value


def archive(path: Path, table: bytes, entries: dict[str, bytes] | None = None, packed: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as made:
        made.writestr("archive/data.pkl", table)
        for name, data in (entries or {}).items():
            made.writestr(f"archive/{name}", data)
    return path


STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu"
"""A persistent identity, up to the number of elements."""


def tensor(count: int, shape: bytes, stride: bytes) -> bytes:
    """A pickle of one tensor of a storage of ``count`` elements."""
    return (
        b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n("
        + STORAGE
        + b"J"
        + struct.pack("<i", count)
        + b"tQK\0"
        + shape
        + stride
        + b"\x89}tRs."
    )


# Endless or huge from little

BOMBS: dict[str, bytes] = {
    "a memo of 4 GB": b"\x80\x02]r\xff\xff\xff\x0f.",
    "a memo of 64 GB": b"\x80\x02]r\xff\xff\xff\xff.",
    "bytes that are not there": b"\x80\x05\x8e" + struct.pack("<Q", 2**33) + b"x.",
    "an array that is not there": b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b"x.",
    "a frame that is not there": b"\x80\x05\x95" + struct.pack("<Q", 2**62) + b"N.",
    "lists without number": b"\x80\x02" + b"]" * 8_000_000 + b".",
    "sets without number": b"\x80\x05" + b"\x8f" * 5_000_000 + b".",
    "kinds without number": b"\x80\x02" + b"".join(b"cm\nn%d\n" % number for number in range(700_000)) + b".",
    "copies of one list": b"\x80\x02ccollections\nOrderedDict\nq\0]q\x01("
    + b"K\0K\0\x86q\x02"
    + b"h\x02" * 100_000
    + b"e"
    + b"h\0h\x01\x85R" * 100_000
    + b".",
    "a number of a million digits": b"\x80\x02L" + b"9" * 1_000_000 + b"L\n.",
    "a long number of a megabyte": b"\x80\x02\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b".",
    "numbers that hash the same": b"\x80\x02}("
    + b"".join(
        b"\x8a\x0b" + (number * (2**61 - 1)).to_bytes(11, "little", signed=True) + b"N" for number in range(1, 100_000)
    )
    + b"u.",
    "a name of megabytes, joined": b"\x80\x04X"
    + struct.pack("<I", 2_000_000)
    + b"n" * 2_000_000
    + b"\x94"
    + b"h\0h\0\x93" * 50_000
    + b".",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_pickle_that_asks_for_much_gets_nothing(tmp_path: Path, name: str) -> None:
    error = refused(archive(tmp_path / "x.pth", BOMBS[name], packed=True))
    assert isinstance(error, ModelFileError)


def test_tuples_nested_deep_do_not_end_the_process(tmp_path: Path) -> None:
    """To hash them takes a stack as deep as they are: the old way was a segmentation fault."""
    deep = b"\x80\x02})" + b"\x85" * 300_000 + b"Ns."
    program = "import sys; from pathlib import Path; from lib_upscaler.models.build import read_state_dict\n"
    program += "try: read_state_dict(Path(sys.argv[1]))\nexcept Exception as error: print(type(error).__name__)"
    path = archive(tmp_path / "x.pth", deep)
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "ModelFileError"), done.stderr[-500:]


def test_a_tensor_that_repeats_sixteen_bytes(tmp_path: Path) -> None:
    """2^28 elements with a stride of 0: 1 GB, and more where the network is built."""
    table = tensor(4, b"J" + struct.pack("<i", 2**28) + b"\x85", b"K\0\x85")
    refused(archive(tmp_path / "x.pth", table, {"data/0": bytes(16)}))


def test_weights_that_only_repeat_a_few_numbers_are_not_built(tmp_path: Path) -> None:
    wide = torch.ones(1).expand(2048, 1024, 3, 3)
    state = {**compact(), "body.2.weight": wide, "body.4.weight": wide}
    error = refused(save_pth(state, tmp_path / "x.pth"))
    assert "repeat" in error.why


@pytest.mark.parametrize("kind", ["packed", "doubled"])
def test_a_zip_file_that_unpacks_to_gigabytes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.pth"
    size = 200_000_000
    if kind == "packed":
        archive(path, tensor(size // 4, b"K\x01\x85", b"K\x01\x85"), {"data/0": bytes(size)}, packed=True)
        assert path.stat().st_size < 1_000_000
    else:  # forty entries of the same bytes
        archive(path, _forty_tensors(), {f"data/{number}": bytes(4_000_000) for number in range(40)}, packed=True)
    refused(path)


def _forty_tensors() -> bytes:
    buffer = io.BytesIO()
    torch.save({str(number): torch.zeros(1_000_000) for number in range(40)}, buffer)
    with zipfile.ZipFile(buffer) as made:
        return made.read(next(name for name in made.namelist() if name.endswith("data.pkl")))


def test_entries_that_lie_over_each_other(tmp_path: Path) -> None:
    """Twenty entries that all show to the same bytes would be twenty times the file."""
    path = archive(tmp_path / "x.pth", _forty_tensors(), {"data/0": bytes(4_000_000)})
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02")
    entries = whole[start:].split(b"PK\x01\x02")[1:]
    ending = entries[1][entries[1].index(b"PK\x05\x06") :]
    last = entries[1][: entries[1].index(b"PK\x05\x06")]
    numbered = [last[:-1] + str(number).encode() for number in range(10)]
    directory = b"".join(b"PK\x01\x02" + one for one in [entries[0], *numbered])
    counts = struct.pack("<HHII", 11, 11, len(directory), start)
    path.write_bytes(whole[:start] + directory + ending[:8] + counts + b"\0\0")
    refused(path)


def test_a_list_of_entries_without_end(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as made:
        for number in range(60_000):
            made.writestr(f"archive/data/{number}/{'x' * 40}", b"")
        made.writestr("archive/data.pkl", b"N.")
    refused(path)


def _module(content: bytes) -> bytes:
    """A TorchScript module with this state, remembered as number 0 before it gets it."""
    return b"\x80\x02c__torch__\nNet\n)\x81q\0" + content + b"b."


def test_a_script_module_that_holds_itself_twice(tmp_path: Path) -> None:
    table = _module(b"}(X\x01\0\0\0ah\0X\x01\0\0\0bh\0u")
    refused(archive(tmp_path / "x.pt", table, {"constants.pkl": b"N."}))


def test_script_modules_with_more_places_than_there_are_atoms(tmp_path: Path) -> None:
    """Each of 60 holds the next one twice: 2^60 places."""
    made = b"\x80\x02"
    for number in range(60):
        inner = b"N" if number == 0 else b"h" + bytes([number - 1])
        made += b"c__torch__\nNet\n)\x81}(X\x01\0\0\0a" + inner + b"X\x01\0\0\0b" + inner + b"ub"
        made += b"q" + bytes([number])
    error = refused(archive(tmp_path / "x.pt", made + b".", {"constants.pkl": b"N."}))
    assert "without end" in error.why


def test_a_module_that_lies_in_two_places_keeps_both_names(tmp_path: Path) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = self.two = torch.nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(self.one(x))

    path = tmp_path / "x.pt"
    torch.jit.script(Net()).save(str(path))
    assert {"one.weight", "two.weight"} <= set(read_state_dict(path))


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_a_header_of_a_hundred_thousand_tensors(tmp_path: Path) -> None:
    one = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors({str(number): one for number in range(100_000)}))
    error = refused(path, megabytes=200)
    assert "too large" in error.why or "100000 tensors" in error.why


def test_a_header_that_names_a_tensor_twice(tmp_path: Path) -> None:
    one = '{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
    text = f'{{"a": {one}, "a": {one}}}'.encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    assert "twice" in refused(tmp_path / "x.safetensors").why


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_ten_gigabytes_that_holds_nothing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    size = 10 * 2**30
    if suffix == ".pth":
        path.write_bytes(b"\x80\x02N.")
    else:
        text = json.dumps({"a": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text)
        size += path.stat().st_size
    os.truncate(path, size)
    if path.stat().st_blocks * 512 > 10**9:
        pytest.skip("this file system has no sparse files")
    with pytest.raises(ModelFileError) as caught:
        read_state_dict(path)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {**state, **{f"body.3000000.{one}": state[f"body.10.{one}"] for one in ("weight", "bias")}},
        lambda state: {**state, "body.0.weight": torch.ones(6000, 3, 3, 3)},
        lambda state: {**state, "body.0.weight": torch.ones(1).expand(6000, 3, 3, 3)},
    ],
    ids=["1,500,000 layers", "wide", "wide by repetition"],
)
def test_a_name_or_a_shape_cannot_ask_for_a_network_of_gigabytes(
    tmp_path: Path, change: Callable[[dict], dict]
) -> None:
    path = save_pth(change(dict(compact(scale=2))), tmp_path / "x.pth")
    assert isinstance(refused(path, seconds=1), UnsupportedModelError)


# Words


@pytest.mark.parametrize("name", ["os\nrm -rf", "\x1b[31mred", "a" * 900, "\u202egnp.exe"])
def test_a_stranger_s_name_is_told_in_one_harmless_line(tmp_path: Path, name: str) -> None:
    table = b"\x80\x04\x8c\x01m" + b"X" + struct.pack("<I", len(name.encode())) + name.encode() + b"\x93)R."
    error = refused(archive(tmp_path / "x.pth", table))
    assert isinstance(error, UnsafeModelError)


def test_what_a_pickle_sets_on_our_stand_ins_has_no_effect(tmp_path: Path) -> None:
    """BUILD with a dict, as it sets attributes: of a tensor, of a name, of a list."""
    start = tensor(1, b"K\x01\x85", b"K\x01\x85")[:-2]
    for number, table in enumerate(
        (
            start + b"}X\x04\0\0\0loadNsbs.",
            start + b"}X\x07\0\0\0storageNsbs.",
            start + b"N}X\x05\0\0\0shapeNs\x86bs.",
            b"\x80\x02cm\nn\n}X\x0b\0\0\0global_nameNsb.",
            b"\x80\x02ccollections\nOrderedDict\n}X\x08\0\0\0functionNsb.",
            b"\x80\x02cargparse\nNamespace\n)\x81}X\x06\0\0\0recordNsb.",
        )
    ):
        path = archive(tmp_path / f"{number}.pth", table, {"data/0": bytes(4)})
        try:
            weights = read_state_dict(path)
        except ModelError:
            continue
        assert torch.equal(weights["a"], torch.zeros(1))
    assert read_state_dict(save_pth(compact(), tmp_path / "good.pth"))


def test_all_but_the_bad_ones_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever reading one file leads to, also what nobody has thought of."""
    from lib_upscaler.models import weights

    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("a", "d"):
        save_pth(compact(scale=2), folder / f"{name}.pth")
    (folder / "b.pth").write_bytes(b"\x80\x02]r\xff\xff\xff\x0f.")
    for name in ("c-Memory", "c-Attribute", "c-Recursion"):
        save_pth(compact(scale=2), folder / f"{name}.pth")
    plain = weights.read_content

    def read(source: object) -> object:
        errors = {"c-Memory": MemoryError, "c-Attribute": AttributeError, "c-Recursion": RecursionError}
        if source.path.stem in errors:  # type: ignore[attr-defined]
            raise errors[source.path.stem]("boom")  # type: ignore[attr-defined]
        return plain(source)  # type: ignore[arg-type]

    monkeypatch.setattr(weights, "read_content", read)
    assert main(["models", "--models-dir", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("a ", "d ")) for line in lines) == 2
    assert [line.split(":")[0] for line in lines if "cannot load" in line] == [
        "b",
        "c-Attribute",
        "c-Memory",
        "c-Recursion",
    ]


# Files that change while they are read


def test_a_file_that_is_replaced_while_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old network's facts must not stay under the new file's sha256: it could never be used again."""
    old, new = compact(scale=4), rrdb()
    expected = load_model(entry_of(save_pth(new, tmp_path / "new.pth"))).facts
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / "another"))
    path = save_pth(old, tmp_path / "x.pth")
    plain = loader.build

    def replaced_meanwhile(*given: object) -> object:
        os.replace(save_pth(new, tmp_path / "coming.pth"), path)
        return plain(*given)

    with monkeypatch.context() as patch:
        patch.setattr(loader, "build", replaced_meanwhile)
        before = load_model(entry_of(path))
    assert before.scale == 4
    after = load_model(entry_of(path))
    assert after.card.architecture == "ESRGAN"
    assert after.card.sha256 != before.card.sha256
    assert known_facts(after.card.sha256) == after.facts == expected
    assert read_card(path).architecture == "ESRGAN"
    assert describe(entry_of(path)).facts == expected


RACES = rounds(20)


def test_races_of_a_rename_with_a_load(tmp_path: Path) -> None:
    """20 of them: each load gives one of the two networks whole, with its own facts, card and checksum."""
    states = {"RealESRGAN Compact": compact(scale=2, layers=24), "ESRGAN": rrdb(blocks=4)}
    expected = {}
    for name, state in states.items():
        model = load_model(entry_of(save_pth(state, tmp_path / f"{name}.pth")))
        expected[model.card.sha256] = (name, model.facts)
    store._shared_cache.cache_clear()
    os.environ["TRUESCALE_CACHE"] = str(tmp_path / "races")  # the fixture puts it back
    path = tmp_path / "x.pth"
    files = [(tmp_path / f"{name}.pth").read_bytes() for name in states]
    for number in range(RACES):
        path.write_bytes(files[number % 2])
        coming = tmp_path / "coming.pth"
        coming.write_bytes(files[(number + 1) % 2])
        timer = threading.Timer(number * 0.002, os.replace, (coming, path))
        timer.start()
        model = load_model(entry_of(path))
        timer.join()
        for one in (model, load_model(entry_of(path))):
            assert (one.card.architecture, one.facts) == expected[one.card.sha256]
            assert known_facts(one.card.sha256) == one.facts


def _race(path: Path, change: Callable[[], None], delay: float) -> dict[str, torch.Tensor] | None:
    """The weights that are read while the file changes; None for a named error."""
    timer = threading.Timer(delay, change)
    timer.start()
    try:
        weights, origin = read_model(path)
    except ModelFileError:
        return None
    else:
        then = {key: value.clone() for key, value in weights.items()}
        timer.join()
        assert origin.sha256
        assert all(torch.equal(value, then[key]) for key, value in weights.items()), "they do not change any more"
        return weights
    finally:
        timer.join()


def _filled(number: float, path: Path, save: Callable) -> bytes:
    return save({str(key): torch.full((100_000,), number) for key in range(40)}, path).read_bytes()


@pytest.mark.parametrize("save", [save_pth, save_safetensors])
def test_races_of_writing_over_the_file_with_a_read(tmp_path: Path, save: Callable) -> None:
    """20 of them: never weights of both."""
    path = tmp_path / "x.model.pth"
    one, two = (_filled(number, tmp_path / "made", save) for number in (1.0, 2.0))
    differing = next(index for index in range(len(one) - 1, 0, -1) if one[index] != two[index])
    assert len(one) == len(two)
    assert differing > len(one) // 2
    for number in range(RACES):
        path.write_bytes(one)

        def write() -> None:
            with path.open("r+b", buffering=0) as file:
                for start in range(0, len(two), 1_000_000):
                    file.write(two[start : start + 1_000_000])

        weights = _race(path, write, number * 0.001)
        values = None if weights is None else {float(value[0]) for value in weights.values()}
        assert values in (None, {1.0}, {2.0})
        assert weights is None or all(bool((value == value[0]).all()) for value in weights.values())


TRUNCATING = """
import os, sys, threading
sys.path.insert(0, "tests/core")
from pathlib import Path
import test_hostile_models as tests
folder = Path(sys.argv[1])
path = folder / "x.pth"
for save in (tests.save_pth, tests.save_safetensors):
    whole = tests._filled(1.0, folder / "made", save)
    for number in range(tests.RACES):
        path.write_bytes(whole)
        left = (0, 7, len(whole) // 3, len(whole) - 1)[number % 4]
        weights = tests._race(path, lambda: os.truncate(path, left), number * 0.001)
        assert weights is None or all(bool((value == 1.0).all()) for value in weights.values())
    print("done", save.__name__, flush=True)
"""


def test_races_of_cutting_the_file_off_with_a_read(tmp_path: Path) -> None:
    """20 of each kind, in a process of their own: mapped into memory, the file's missing pages ended it (SIGBUS)."""
    command = [sys.executable, "-c", TRUNCATING, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr[-800:])
    assert done.stdout.splitlines() == ["done save_pth", "done save_safetensors"]


def test_a_write_that_began_before_the_file_was_opened_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes neither size nor time any more: only a second look tells."""
    from lib_upscaler.models import source

    path = tmp_path / "x.pth"
    one, two = (_filled(number, tmp_path / "made", save_pth) for number in (1.0, 2.0))
    path.write_bytes(one)
    status = path.stat()
    plain = source._Reading.fill

    def fill(reading: source._Reading, target: object) -> None:
        plain(reading, target)  # type: ignore[arg-type]
        if len(one) // 2 < reading.position < len(one) * 3 // 4:
            with path.open("r+b") as file:
                file.write(two)

    monkeypatch.setattr(source._Reading, "fill", fill)
    monkeypatch.setattr(source.Source, "_stat", lambda _: [status.st_size, status.st_mtime_ns, 0])
    with pytest.raises(ModelFileError, match="changed while it was read"):
        read_state_dict(path)


def test_old_pickles_are_read_to_the_end_of_what_they_are() -> None:
    """Every protocol, and what Python 2 wrote; by hand, since no torch writes them any more."""
    from lib_upscaler.models.pickles import Pickles

    value = {
        "a": [1, -2, 300, 70000, 2**40, -(2**70), 1.5, None, True, False, "텍스트\n'", b"\0\xff", (1, (2,))],
        "b": (),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        table = pickle.dumps(value, protocol)
        if protocol > 2:
            assert Pickles(Path("x"), table, lambda _: None).next() == value
        else:  # these write bytes as a call, which gives a stand-in
            found = Pickles(Path("x"), table, lambda _: None).next()
            assert found["a"][:11] == value["a"][:11]
            assert found["a"][12] == value["a"][12]
    old = b"(dp0\nS'it\\'s'\np1\n(lp2\nI1\naI01\naL5L\naF2.5\naVx\\u00e9\nas."
    assert Pickles(Path("x"), old, lambda _: None).next() == {"it's": [1, True, 5, 2.5, "xé"]}
