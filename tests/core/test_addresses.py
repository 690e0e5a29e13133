"""Pictures, results, models and reports at addresses of object stores, with connections that are cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from PIL import Image

from folders import WORDS, bytes_in, network, noise, states
from lib_upscaler.batch.addresses import Address, as_place, bring, is_address, put
from lib_upscaler.cli.commands import main
from lib_upscaler.errors import PictureReadError, PictureWriteError, RequestError
from object_store import Door, object_store

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUESCALE_CACHE", str(tmp_path / "cache"))
    network()
    yield
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def upscale(*words: object) -> int:
    return main(["upscale", *map(str, words), *WORDS])


def sent(folder: str, to: str) -> None:
    """A folder's files, into the memory's store."""
    memory = fsspec.filesystem("memory")
    for name, data in bytes_in(folder).items():
        memory.pipe_file(f"{to}/{name}", data)


def stored(below: str) -> dict[str, bytes]:
    memory = fsspec.filesystem("memory")
    return {path[len(f"/{below}/") :]: memory.cat_file(path) for path in memory.find(below)}


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("s3://bucket/a.png", True),
        ("memory://a", True),
        ("gs://b/c d.png", True),
        ("C:\\pictures\\a.png", False),
        ("c://a.png", False),
        ("a/b.png", False),
        ("/a//b.png", False),
    ],
)
def test_what_is_an_address(word: str, is_one: bool) -> None:
    assert is_address(word) is is_one


def test_parts_of_an_address() -> None:
    one = as_place("memory://bucket/sub/a.b.png")
    assert isinstance(one, Address)
    assert (one.name, one.stem, one.suffix, str(one.parent)) == ("a.b.png", "a.b", ".png", "memory://bucket/sub")
    assert str(one.with_name("c.jpg")) == "memory://bucket/sub/c.jpg"
    assert str(as_place("memory://bucket/") / "x/y.png") == "memory://bucket/x/y.png"
    assert as_place("file:///tmp/a.png") == Path("/tmp/a.png")


@pytest.mark.parametrize(("word", "says"), [("nothing-such://a", "nothing-such"), ("s3x://a", "s3x")])
def test_schemes_that_nothing_reads(word: str, says: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(RequestError, match=says):
        as_place(word)
    assert upscale(word, "-o", "out") == 2


# -- the memory's store: every door but the network --------------------------------------------------------------------


def test_a_folder_there_gives_what_it_gives_here() -> None:
    noise("in/sub", 2)
    noise("in", 2, first=5)
    Path("in/notes.txt").write_text("x")
    sent("in", "bucket/in")
    assert upscale("in", "-o", "out", "--recursive") == 0
    assert (
        upscale("memory://bucket/in", "-o", "memory://bucket/out", "--recursive", "--report", "memory://r.jsonl") == 0
    )
    assert stored("bucket/out") == bytes_in("out")
    lines = [json.loads(line) for line in fsspec.filesystem("memory").cat_file("r.jsonl").decode().splitlines()]
    assert {line["output"] for line in lines} == {f"memory://bucket/out/{name}" for name in bytes_in("out")}
    assert upscale("memory://bucket/in", "-o", "here", "--recursive") == 0
    assert bytes_in("here") == bytes_in("out")


def test_without_a_destination_results_lie_beside_the_pictures_and_are_no_inputs() -> None:
    noise("in", 2)
    sent("in", "bucket")
    for _ in range(2):
        assert upscale("memory://bucket", "--skip-existing") == 0
    assert sorted(stored("bucket")) == ["0000-upscaled.png", "0000.png", "0001-upscaled.png", "0001.png"]


def test_patterns_single_files_and_lists() -> None:
    noise("in", 3)
    sent("in", "bk")
    assert upscale("memory://bk/000[01].png", "-o", "one") == 0
    assert sorted(bytes_in("one")) == ["0000.png", "0001.png"]
    assert upscale("memory://bk/0002.png", "-o", "two.webp") == 0
    assert Image.open("two.webp").size == (48, 40)
    fsspec.filesystem("memory").pipe_file("list.txt", b"memory://bk/0002.png\n\nin/0000.png\n")
    assert upscale("@memory://list.txt", "-o", "three") == 0
    assert sorted(bytes_in("three")) == ["0000.png", "0002.png"]


def test_what_is_there_is_refused_skipped_or_replaced(capsys: pytest.CaptureFixture) -> None:
    noise("in", 1)
    fsspec.filesystem("memory").pipe_file("out/0000.png", b"precious")
    assert upscale("in", "-o", "memory://out") == 1
    assert "it exists" in capsys.readouterr().err
    assert upscale("in", "-o", "memory://out", "--skip-existing") == 0
    assert stored("out") == {"0000.png": b"precious"}
    assert upscale("in", "-o", "memory://out", "--overwrite") == 0
    assert stored("out")["0000.png"][:4] == b"\x89PNG"


def test_a_journal_of_pictures_there_goes_on() -> None:
    import sqlite3

    noise("in", 3)
    sent("in", "in")
    assert upscale("memory://in", "-o", "memory://out", "--journal", "j.db") == 0
    base = sqlite3.connect("j.db")
    with base:
        base.execute("UPDATE pictures SET state = 'planned', sha256 = NULL WHERE number > 1")
    base.close()
    fsspec.filesystem("memory").rm_file("/out/0002.png")
    before = stored("out")
    assert main(["upscale", "--journal", "j.db", "--resume", "--device", "cpu"]) == 0
    assert states("j.db") == {"done": 3}
    assert {name: data for name, data in stored("out").items() if name in before} == before
    assert sorted(stored("out")) == ["0000.png", "0001.png", "0002.png"]


def test_a_result_that_a_lost_worker_wrote_and_told_nobody_of_is_found() -> None:
    from lib_upscaler.batch.picture import BatchOptions
    from lib_upscaler.batch.task import Done, Failed, Skipped, Task
    from lib_upscaler.batch.workers import Bench, WorkerSettings
    from lib_upscaler.request import UpscaleRequest

    noise("in", 2)
    sent("in", "in")
    assert upscale("memory://in/0000.png", "-o", "memory://out/") == 0
    before = stored("out")
    settings = WorkerSettings(("models",), UpscaleRequest("net"), BatchOptions(), "cpu", elsewhere=True)
    bench = Bench(settings)
    files = [(as_place(f"memory://in/{name}"), as_place(f"memory://out/{name}")) for name in ("0000.png", "0001.png")]
    told = [bench.give(Task(*files[0], 1, again=True)), bench.give(Task(*files[1], 2, again=True))]
    told.append(bench.give(Task(*files[0], 3)))
    bench.finish()
    bench.run()
    found, made, refused = (each.result() for each in told)
    assert isinstance(found, Skipped)
    assert found.is_ours
    assert isinstance(made, Done)
    assert isinstance(refused, Failed), "nobody was lost with this one"
    assert stored("out")["0000.png"] == before["0000.png"]


def test_an_animation_there_keeps_its_frames() -> None:
    frames = [Image.new("RGB", (8, 8), (tone, 0, 0)) for tone in (0, 90, 200)]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:], duration=50)
    fsspec.filesystem("memory").pipe_file("a.gif", Path("a.gif").read_bytes())
    assert upscale("memory://a.gif", "-o", "memory://out/") == 0
    Path("result.gif").write_bytes(stored("out")["a.gif"])
    with Image.open("result.gif") as image:
        assert (image.n_frames, image.size) == (3, (16, 16))


def test_models_there() -> None:
    noise("in", 1)
    memory = fsspec.filesystem("memory")
    memory.pipe_file("models/net.pth", Path("models/net.pth").read_bytes())
    memory.pipe_file("models/other.pth", b"not asked for, not brought")
    assert upscale("in", "-o", "a") == 0
    for words in (["--model", "memory://models/net.pth"], ["--models-dir", "memory://models", "--model", "net"]):
        out = f"out{len(words)}"
        assert main(["upscale", "in", "-o", out, *words, "--precision", "exact", "--device", "cpu"]) == 0
        assert bytes_in(out) == bytes_in("a")
    assert not list(Path("cache").rglob("other.pth"))
    assert main(["upscale", "in", "-o", "b", "--model", "memory://models/none.pth"]) == 2


def test_the_plan_of_pictures_there(capsys: pytest.CaptureFixture) -> None:
    noise("in", 1)
    sent("in", "in")
    assert upscale("memory://in", "-o", "memory://out", "--plan") == 0
    assert "memory://in/0000.png -> memory://out/0000.png: 24x20 -> 48x40 px" in capsys.readouterr().out
    assert stored("out") == {}


def test_what_is_not_there(capsys: pytest.CaptureFixture) -> None:
    assert upscale("memory://none.png", "-o", "out/") == 1
    assert "there is no such file" in capsys.readouterr().err
    with pytest.raises(PictureReadError, match="no such file"):
        bring(Address("memory", "none.png"), Path("x"))


# -- S3, by moto's server ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store() -> Iterator[int]:
    with object_store() as port:
        yield port


@pytest.fixture
def door(store: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Before the store, with an empty bucket "pictures"."""
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    opened = Door(store)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{opened.port}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{opened.port}")
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem(use_listings_cache=False)
    if system.exists("pictures"):
        system.rm("pictures", recursive=True)
    system.mkdir("pictures")
    yield opened
    opened.close()
    s3fs.S3FileSystem.clear_instance_cache()


def in_bucket() -> dict[str, bytes]:
    import s3fs

    system = s3fs.S3FileSystem(use_listings_cache=False)
    return {path.partition("/")[2]: system.cat_file(path) for path in system.find("pictures")}


def test_s3_with_cut_connections(door: Door) -> None:
    noise("in", 8)
    assert upscale("in", "-o", "out") == 0
    import s3fs

    system = s3fs.S3FileSystem(use_listings_cache=False)
    for name, data in bytes_in("in").items():
        system.pipe_file(f"pictures/in/{name}", data)
    door.cuts += [0, 10, 300, 700, 0, 400]
    assert (
        upscale("s3://pictures/in", "-o", "s3://pictures/out", "--journal", "j.db", "--report", "s3://pictures/r.jsonl")
        == 0
    )
    assert door.cut == 6
    found = in_bucket()
    assert {name[len("out/") :]: data for name, data in found.items() if name.startswith("out/")} == bytes_in("out")
    assert states("j.db") == {"done": 8}
    assert len(found["r.jsonl"].splitlines()) == 8


def test_s3_refuses_a_second_result_by_itself(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that write at once: nobody's look just before can tell, the store can."""
    from lib_upscaler.batch import addresses

    Path("one").write_bytes(b"first")
    Path("two").write_bytes(b"second")
    target = Address("s3", "pictures/x.png")
    monkeypatch.setattr(addresses, "is_there", lambda address: False)
    put(Path("one"), target, overwrite=False)
    with pytest.raises(PictureWriteError, match="already"):
        put(Path("two"), target, overwrite=False)
    assert in_bucket() == {"x.png": b"first"}
    put(Path("one"), target, overwrite=False)  # our own first try, whose answer was lost
    put(Path("two"), target, overwrite=True)
    assert in_bucket() == {"x.png": b"second"}


def test_a_store_that_does_not_answer_costs_the_picture_not_the_run(
    door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from lib_upscaler.batch import addresses

    monkeypatch.setattr(addresses, "_WAITS", (0.01,))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    noise("in", 2)
    import s3fs

    s3fs.S3FileSystem(use_listings_cache=False).pipe_file("pictures/a.png", Path("in/0000.png").read_bytes())
    door.close()
    assert upscale("in/0001.png", "-o", "out/") == 0
    assert upscale("in", "-o", "s3://pictures/out", "--journal", "j.db") == 1
    assert "the same command goes on from here" in capsys.readouterr().err
    assert states("j.db") == {"failed": 2}


# -- spellings, names, stores of other kinds ---------------------------------------------------------------------------


def test_an_input_is_known_however_its_address_is_written(capsys: pytest.CaptureFixture) -> None:
    noise("in", 1)
    sent("in", "al")
    before = stored("al")
    assert upscale("memory:///al/0000.png", "-o", "memory://al/0000.png", "--overwrite") == 2
    assert "it is the input" in capsys.readouterr().err
    assert stored("al") == before
    assert upscale("memory:///al", "-o", "memory://al/out", "--recursive") == 0
    assert upscale("memory://al", "-o", "memory:///al/out", "--recursive", "--skip-existing") == 0
    assert sorted(stored("al")) == ["0000.png", "out/0000.png"]


def test_keys_lead_nowhere_but_below_the_folder_of_results() -> None:
    noise("in", 1)
    data = Path("in/0000.png").read_bytes()
    for key in ("pics/a\\..\\..\\b.png", "pics/sub/c:d.png"):
        fsspec.filesystem("memory").pipe_file(key, data)
    Path("deep/er").mkdir(parents=True)
    assert upscale("memory://pics", "-o", "deep/er/out", "--recursive") == 0
    assert sorted(bytes_in("deep")) == ["er/out/a_.._.._b.png", "er/out/sub/c_d.png"]


def test_web_pages_are_refused_in_words(capsys: pytest.CaptureFixture) -> None:
    assert upscale("https://example.org/a.png") == 2
    assert "Download the file" in capsys.readouterr().err


def test_a_store_where_files_grow_gets_them_under_another_name_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from lib_upscaler.batch import addresses

    monkeypatch.setattr(addresses, "_WHOLE", ())
    memory = fsspec.filesystem("memory")
    names: list[str] = []
    plain = type(memory).put_file

    def put_file(self, here, there, *more, **named):
        names.append(there)
        return plain(self, here, there, *more, **named)

    monkeypatch.setattr(type(memory), "put_file", put_file)
    Path("one").write_bytes(b"first")
    put(Path("one"), Address("memory", "out/x.png"), overwrite=False)
    assert names
    assert not names[0].endswith("x.png")
    assert stored("out") == {"x.png": b"first"}


def test_an_error_that_speaks_of_412_is_no_file_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from lib_upscaler.batch import addresses

    monkeypatch.setattr(addresses, "_WAITS", (0.0, 0.0))
    memory, tries = fsspec.filesystem("memory"), []
    plain = type(memory).put_file

    def put_file(self, *given, **named):
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("the connection to .../0412.png was closed")
        return plain(self, *given, **named)

    monkeypatch.setattr(type(memory), "put_file", put_file)
    Path("one").write_bytes(b"first")
    put(Path("one"), Address("memory", "out/0412.png"), overwrite=False)
    assert stored("out") == {"0412.png": b"first"}


def test_a_model_that_was_replaced_there_is_brought_again() -> None:
    noise("in", 1)
    memory = fsspec.filesystem("memory")
    memory.pipe_file("models/net.pth", Path("models/net.pth").read_bytes())
    words = ["--model", "memory://models/net.pth", "--precision", "exact", "--device", "cpu"]
    assert main(["upscale", "in", "-o", "one", *words, "--journal", "j.db"]) == 0
    assert main(["upscale", *words, "--journal", "j.db", "--resume"]) == 0, "the same words, the same run"
    size = Path("models/net.pth").stat().st_size
    network(seed=7)
    assert Path("models/net.pth").stat().st_size == size
    memory.pipe_file("models/net.pth", Path("models/net.pth").read_bytes())
    assert main(["upscale", "in", "-o", "two", *words]) == 0
    assert bytes_in("one") != bytes_in("two")


def test_a_list_with_a_mark_at_its_beginning() -> None:
    noise("in", 1)
    fsspec.filesystem("memory").pipe_file("list.txt", b"\xef\xbb\xbfin/0000.png\r\n")
    assert upscale("@memory://list.txt", "-o", "out") == 0
    assert list(bytes_in("out")) == ["0000.png"]


# -- servers -----------------------------------------------------------------------------------------------------------


class Server(fsspec.get_filesystem_class("memory")):
    """One with a name and paths from its root, as sftp has them; what it holds is the memory's."""

    protocol = "boxes"
    hosts: ClassVar[list[str]] = []
    paths: ClassVar[list[str]] = []

    def __init__(self, host: str, **more: object) -> None:
        if host == "down":
            raise OSError("no route to host")
        super().__init__(**more)
        self.hosts.append(host)

    @staticmethod
    def _get_kwargs_from_urls(word: str) -> dict[str, str]:
        return {"host": word.split("://")[1].partition("/")[0]}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.split("://")[1].partition("/")[2] if "://" in path else path

    def get_file(self, there: str, *more: object, **named: object) -> None:
        self.paths.append(there)
        super().get_file(there, *more, **named)


@pytest.fixture
def server() -> type[Server]:
    fsspec.register_implementation("boxes", Server, clobber=True)
    Server.clear_instance_cache()
    Server.hosts.clear()
    Server.paths.clear()
    return Server


def test_a_server_is_asked_by_its_name_for_paths_from_its_root(server: type[Server]) -> None:
    noise("in", 2)
    assert upscale("in", "-o", "here") == 0
    sent("in", "home/me/pics")
    assert str(as_place("boxes://nas/home/me/pics")) == "boxes://nas/home/me/pics"
    assert upscale("boxes://nas/home/me/pics", "-o", "boxes://nas/home/me/large", "--journal", "j.db") == 0
    assert set(server.hosts) == {"nas"}
    assert set(server.paths) == {"/home/me/pics/0000.png", "/home/me/pics/0001.png"}
    assert stored("home/me/large") == bytes_in("here")
    assert main(["upscale", "--journal", "j.db", "--resume", "--device", "cpu"]) == 0


def test_a_server_that_is_not_there_is_told_in_words(server: type[Server], capsys: pytest.CaptureFixture) -> None:
    assert upscale("boxes://down/pics") == 2
    assert "no route to host" in capsys.readouterr().err


# -- what is left behind, and what is lost -----------------------------------------------------------------------------


def test_temporary_folders_of_other_machines_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several may share the place for them, and have processes of the same numbers."""
    import os
    import tempfile

    from lib_upscaler.batch.scratch_files import prefix_of

    shared = tmp_path / "tmp"
    shared.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    ours = shared / f"{prefix_of(999_999_999)}x"
    theirs = shared / ours.name.replace(ours.name.split("-")[1], "0123abcd")
    for folder in (ours, theirs):
        folder.mkdir()
        os.utime(folder, (1, 1))
    noise("in", 1)
    sent("in", "in")
    assert upscale("memory://in", "-o", "out") == 0
    assert [path.name for path in shared.iterdir()] == [theirs.name]


def test_a_plan_keeps_no_picture_that_it_has_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lib_upscaler.batch import scratch_files

    noise("in", 4)
    sent("in", "in")
    held: list[int] = []
    plain = scratch_files.Scratch.file_for

    def file_for(self, task, name):
        held.append(len(list(self._root.rglob("*.png"))) if self._root else 0)
        return plain(self, task, name)

    monkeypatch.setattr(scratch_files.Scratch, "file_for", file_for)
    assert upscale("memory://in", "-o", "out", "--plan") == 0
    assert max(held) <= 1


def test_a_report_that_could_not_be_sent_once_is_whole_in_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from lib_upscaler.batch import report
    from lib_upscaler.errors import PictureWriteError

    noise("in", 4)
    plain, tries = report.put, []

    def put(*given, **named):
        tries.append(1)
        if len(tries) == 2:
            raise PictureWriteError("the store is away")
        return plain(*given, **named)

    monkeypatch.setattr(report, "put", put)
    monkeypatch.setattr(report, "_SENT_EVERY", 0.0)
    assert upscale("in", "-o", "out", "--report", "memory://r.jsonl") == 1
    assert "the store is away" in capsys.readouterr().err
    assert len(fsspec.filesystem("memory").cat_file("r.jsonl").splitlines()) == 4


def test_no_room_for_files_on_their_way_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import tempfile

    noise("in", 1)
    sent("in", "in")
    monkeypatch.setattr(tempfile, "tempdir", "/not/there")
    assert upscale("memory://in", "-o", "out") == 1
    said = capsys.readouterr().err
    assert "no room for files that are on their way" in said
    assert "unexpected" not in said
