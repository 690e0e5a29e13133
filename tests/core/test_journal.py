"""A journal says of each picture what is planned, done and failed; a run goes on from it whatever ended it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from folders import WORDS, bytes_in, command, environment, network, noise, rows, states
from lib_upscaler.cli.commands import main


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network()


def upscale(*words: object) -> int:
    return main(["upscale", *map(str, words), *WORDS])


def go_on(*words: object) -> int:
    return main(["upscale", "--journal", "j.db", *map(str, words), "--device", "cpu"])


def test_it_says_of_each_picture_what_became_of_it() -> None:
    noise("in", 3)
    Path("in/bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert upscale("in", "-o", "out", "--journal", "j.db") == 1
    assert states("j.db") == {"done": 3, "failed": 1}
    for source, output, state, size, digest, report, error in rows(
        "j.db", "source, output, state, size, sha256, report, error"
    ):
        if state == "failed":
            assert (source, output) == ("in/bad.png", "out/bad.png")
            assert "bad.png" in error
            continue
        data = Path(output).read_bytes()
        assert (size, digest) == (len(data), hashlib.sha256(data).hexdigest())
        assert json.loads(report)["output_size"] == [48, 40]


def test_a_resumed_run_needs_no_word_but_the_journal(capsys: pytest.CaptureFixture) -> None:
    noise("in", 4)
    assert upscale("in", "-o", "out", "--journal", "j.db", "--scale", "3") == 0
    base = sqlite3.connect("j.db")
    with base:
        base.execute("UPDATE pictures SET state = 'planned', sha256 = NULL WHERE number = 3")
    base.close()
    Path("out/0002.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    assert go_on("--resume") == 0
    assert "3 of 4 pictures are done; 1 to do" in capsys.readouterr().err
    assert states("j.db") == {"done": 4}
    assert all(path.stat().st_mtime_ns == time for path, time in before.items()), "what is done is not done again"
    assert Image.open("out/0002.png").size == (72, 60)


def test_outputs_that_are_done_are_not_looked_at() -> None:
    """Who moves results away while a run goes on gets none of them a second time."""
    noise("in", 3)
    assert upscale("in", "-o", "out", "--journal", "j.db") == 0
    shutil.rmtree("out")
    assert go_on("--resume") == 0
    assert not Path("out").exists()


def test_what_failed_is_tried_again_on_request_only() -> None:
    noise("in", 2)
    good = Path("in/0001.png").read_bytes()
    Path("in/0001.png").write_bytes(good[:-60])
    assert upscale("in", "-o", "out", "--journal", "j.db") == 1
    Path("in/0001.png").write_bytes(good)
    assert go_on("--resume") == 1, "there is still one that failed"
    assert states("j.db") == {"done": 1, "failed": 1}
    assert go_on("--retry-failed") == 0
    assert states("j.db") == {"done": 2}


def test_new_pictures_of_a_folder_join_the_plan() -> None:
    noise("in", 2)
    assert upscale("in", "-o", "out", "--journal", "j.db") == 0
    noise("in", 1, first=2)
    assert main(["upscale", "in", "--journal", "j.db", "--resume", "--device", "cpu"]) == 0
    assert [row[0] for row in rows("j.db", "source")] == ["in/0000.png", "in/0001.png", "in/0002.png"]
    assert sorted(bytes_in("out")) == ["0000.png", "0001.png", "0002.png"]


def test_a_result_written_just_before_the_end_is_found_by_its_mark() -> None:
    noise("in", 2)
    assert upscale("in", "-o", "out", "--journal", "j.db") == 0
    base = sqlite3.connect("j.db")
    with base:
        base.execute("UPDATE pictures SET state = 'planned', sha256 = NULL, size = NULL")
    base.close()
    before = bytes_in("out"), Path("out/0000.png").stat().st_mtime_ns
    assert go_on("--resume") == 0
    assert states("j.db") == {"done": 2}
    assert (bytes_in("out"), Path("out/0000.png").stat().st_mtime_ns) == before
    (digest,) = rows("j.db", "sha256", "number = 1")[0]
    assert digest == hashlib.sha256(before[0]["0000.png"]).hexdigest()


def test_what_a_killed_run_left_half_written_goes_at_once() -> None:
    noise("in", 1)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert upscale("in", "-o", "out", "--journal", "j.db") == 0
    base = sqlite3.connect("j.db")
    with base:
        processes = json.dumps([[socket.gethostname(), ended.pid]])
        base.execute("UPDATE about SET value = ? WHERE name = 'processes'", (processes,))
    base.close()
    Path("out", f".truescale-{ended.pid}-0123abcd.tmp").write_bytes(b"half")
    assert go_on("--resume") == 0
    assert list(bytes_in("out")) == ["0000.png"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["in", "-o", "out", "--journal", "j.db"], "Go on with --resume"),
        (["in", "-o", "other", "--journal", "j.db", "--resume"], "output was out there and is other here"),
        (["--journal", "j.db", "--resume", "--scale", "3"], "scale"),
        (["in", "-o", "out", "--resume"], "--journal"),
        (["in", "-o", "out", "--journal", "no/j.db"], "there is no folder"),
        (["in", "-o", "out", "--journal", "in/0000.png", "--resume"], "another kind"),
        (["in", "-o", "out", "--journal", "other.db", "--resume"], "another program"),
        (["--journal", "new.db", "--resume"], "no picture was named"),
        (["in", "-o", "out", "--journal", "new.db", "--plan"], "--plan"),
    ],
)
def test_what_cannot_be_is_told_and_costs_nothing(words: list[str], says: str, capsys: pytest.CaptureFixture) -> None:
    noise("in", 1)
    assert upscale("in", "-o", "out", "--journal", "j.db") == 0
    sqlite3.connect("other.db").executescript("CREATE TABLE mine (x)")
    before = bytes_in(".")
    capsys.readouterr()
    assert main(["upscale", *words, *WORDS]) == 2
    assert says in capsys.readouterr().err
    after = bytes_in(".")
    assert {name for name in after if not name.endswith(".lock")} == {
        name for name in before if not name.endswith(".lock")
    }
    assert after["in/0000.png"] == before["in/0000.png"]


def test_one_run_at_a_time(capsys: pytest.CaptureFixture) -> None:
    noise("in", 1)
    from lib_upscaler.batch.journal import Journal

    with Journal(Path("j.db")):
        assert upscale("in", "-o", "out", "--journal", "j.db", "--resume") == 2
    assert "another run uses it" in capsys.readouterr().err


def test_names_that_are_no_unicode() -> None:
    noise("in", 1)
    odd = os.fsdecode(b"in/\xff.png")
    try:
        Path("in/0000.png").rename(odd)
    except OSError:
        pytest.skip("this file system takes no such names")
    assert upscale("in", "-o", "out", "--journal", "j.db") == 0
    assert go_on("--resume") == 0
    assert rows("j.db", "source, state") == [(b"in/\xff.png", "done")]


# -- identical pictures ------------------------------------------------------------------------------------------------


def test_identical_pictures_are_done_once_on_request() -> None:
    noise("in", 2)
    shutil.copy("in/0000.png", "in/copy.png")
    shutil.copy("in/0000.png", "in/twin.png")
    flipped = bytearray(Path("in/0001.png").read_bytes())
    Path("in/length.png").write_bytes(bytes(flipped[:-1]) + b"\x83")  # as long as another, and not the same
    assert upscale("in", "-o", "out", "--journal", "j.db", "--identical-once", "--report", "r.jsonl") == 0
    found = bytes_in("out")
    assert found["copy.png"] == found["twin.png"] == found["0000.png"]
    assert np.array_equal(np.asarray(Image.open("out/length.png")), np.asarray(Image.open("out/0001.png")))
    lines = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert sum("models" in line for line in lines) == 3
    assert [line["copy_of"] for line in lines if "copy_of" in line] == ["out/0000.png"] * 2
    assert states("j.db") == {"done": 5}


def test_copies_of_a_picture_that_fails_are_tried_themselves(capsys: pytest.CaptureFixture) -> None:
    Path("in").mkdir()
    for name in ("a", "b"):
        Path(f"in/{name}.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    noise("in", 1)
    assert upscale("in", "-o", "out", "--identical-once", "--journal", "j.db") == 1
    said = capsys.readouterr().err
    assert "in/a.png: " in said
    assert "in/b.png: " in said
    assert states("j.db") == {"done": 1, "failed": 2}


@pytest.mark.parametrize("journal", [(), ("--journal", "j.db")])
def test_copies_of_a_picture_whose_result_was_there_are_done(journal: tuple[str, ...]) -> None:
    """The one that stands for all is skipped; the others are not forgotten."""
    noise("in", 2)
    shutil.copy("in/0000.png", "in/9twin.png")
    assert upscale("in/0000.png", "-o", "out/") == 0
    Path("out/0001.png").write_bytes(b"precious")
    shutil.copy("in/0001.png", "in/9other.png")
    assert upscale("in", "-o", "out", "--identical-once", "--skip-existing", *journal) == 0
    found = bytes_in("out")
    assert found["9twin.png"] == found["0000.png"]
    assert found["0001.png"] == b"precious"
    assert Image.open("out/9other.png").size == (48, 40)


def test_a_picture_that_was_changed_meanwhile_lends_its_twin_no_result() -> None:
    noise("in", 1)
    shutil.copy("in/0000.png", "in/twin.png")
    assert upscale("in", "-o", "out", "--journal", "j.db", "--identical-once") == 0
    was = bytes_in("out")["twin.png"]
    base = sqlite3.connect("j.db")
    with base:
        base.execute("UPDATE pictures SET state = 'planned', sha256 = NULL")
    base.close()
    shutil.rmtree("out")
    Image.new("RGB", (24, 20), (255, 0, 0)).save("in/0000.png")
    assert go_on("--resume") == 0
    assert bytes_in("out")["twin.png"] == was
    assert bytes_in("out")["0000.png"] != was


def test_a_copy_that_was_written_and_not_noted_is_found() -> None:
    noise("in", 1)
    shutil.copy("in/0000.png", "in/twin.png")
    assert upscale("in", "-o", "out", "--journal", "j.db", "--identical-once") == 0
    base = sqlite3.connect("j.db")
    with base:
        base.execute("UPDATE pictures SET state = 'planned', sha256 = NULL WHERE same_as IS NOT NULL")
    base.close()
    assert go_on("--resume") == 0
    assert states("j.db") == {"done": 2}


# -- what lies under a result's name -----------------------------------------------------------------------------------


def test_what_came_under_a_results_name_and_is_none_is_no_result(capsys: pytest.CaptureFixture) -> None:
    noise("in", 4)
    assert upscale("in", "-o", "out", "--journal", "j.db") == 0
    base = sqlite3.connect("j.db")
    with base:
        base.execute("UPDATE pictures SET state = 'planned', sha256 = NULL WHERE number < 4")
    base.close()
    good = bytes_in("out")
    Path("out/0000.png").write_bytes(b"")  # a name that was taken just before the process was killed
    Path("out/0001.png").write_bytes(b"my notes")
    shutil.copy("out/0003.png", "out/0002.png")  # another picture's result
    assert go_on("--resume") == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len([line for line in errors if "is no result of this picture as it is now" in line]) == 2
    assert states("j.db") == {"done": 2, "failed": 2}
    assert Path("out/0001.png").read_bytes() == b"my notes"
    assert Path("out/0000.png").read_bytes() == good["0000.png"]
    for name in ("0001.png", "0002.png"):
        Path("out", name).unlink()
    assert go_on("--retry-failed") == 0
    assert bytes_in("out") == good


def test_a_picture_that_joins_the_plan_is_not_what_a_result_replaces(capsys: pytest.CaptureFixture) -> None:
    noise("in", 2)
    noise("pics", 1, first=1)
    before = bytes_in("pics")
    assert main(["upscale", "in", "-o", "pics", "--overwrite", "--journal", "j.db", *WORDS, "--plan"]) == 2
    from lib_upscaler.batch.journal import Journal

    words = ["upscale", "in", "-o", "pics", "--overwrite", "--journal", "j.db", *WORDS]
    assert main(words) == 0
    with Journal(Path("j.db")) as journal, journal.changing() as base:
        base.execute("UPDATE pictures SET state = 'planned'")
    Path("pics/0001.png").write_bytes(before["0001.png"])
    assert main(["upscale", "pics", "--journal", "j.db", "--resume", "--device", "cpu"]) == 2
    assert "cannot join the plan" in capsys.readouterr().err
    assert bytes_in("pics")["0001.png"] == before["0001.png"]
    assert len(rows("j.db", "number")) == 2


def test_two_equal_commands_at_once_leave_one_journal(capsys: pytest.CaptureFixture) -> None:
    noise("in", 1)
    from lib_upscaler.batch.journal import Journal

    with Journal(Path("j.db"), resume=False) as journal:
        assert upscale("in", "-o", "out", "--journal", "j.db") == 2
        assert "another run uses it" in capsys.readouterr().err
        assert Path("j.db").exists()
        journal.note_about({"planned": True})
    Path("link.db").symlink_to("nowhere.db")
    assert upscale("in", "-o", "out", "--journal", "link.db") == 2
    assert Path("link.db").is_symlink()


def test_a_wrong_word_burns_no_journal() -> None:
    noise("in", 1)
    Path("empty").mkdir()
    for words in (["in", "--model", "nett"], ["empty"]):
        assert main(["upscale", *words[:1], "-o", "out", "--journal", "j.db", *WORDS, *words[1:]]) == 2
    assert upscale("in", "-o", "out", "--journal", "j.db") == 0


def test_a_journal_that_cannot_be_written_on_is_told_in_words(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lib_upscaler.batch.journal import Journal

    def full(self, result) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    noise("in", 2)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", full)
        assert upscale("in", "-o", "out", "--journal", "j.db") == 1
    assert "the journal cannot be written on: database or disk is full" in capsys.readouterr().err
    assert go_on("--resume") == 0
    assert states("j.db") == {"done": 2}


@pytest.mark.parametrize("name", ["j.db", "list.txt"])
def test_a_report_is_not_written_into_the_journal_or_a_list(name: str) -> None:
    noise("in", 1)
    Path("list.txt").write_text("in/0000.png\n")
    assert upscale("@list.txt", "-o", "out", "--journal", "j.db", "--report", name) == 2
    assert Path("list.txt").read_text() == "in/0000.png\n"


# -- the summary -------------------------------------------------------------------------------------------------------


def test_the_summary_counts_failures_by_their_reasons(capsys: pytest.CaptureFixture) -> None:
    noise("in", 2)
    for name in ("a", "b", "c"):
        Path(f"in/{name}.png").write_bytes(b"")
    Path("in/d.png").write_bytes(b"<html>")
    assert upscale("in", "-o", "out") == 1
    lines = capsys.readouterr().err.splitlines()
    assert "2 of 6 upscaled, 4 failed" in lines
    assert any(line.startswith("  3 failed: ") for line in lines)
    assert any(line.startswith("  1 failed: ") and "web page" in line for line in lines)
    assert any("per second" in line or "s per picture" in line for line in lines)


# -- killed at any moment ----------------------------------------------------------------------------------------------


def killed_at_random(kills: int, count: int, seed: int) -> None:
    """Kill the run again and again; then let it end, and compare with one that nobody disturbed."""
    network(layers=4, features=32)
    noise("in", count, 150, 120)
    chance = random.Random(seed)
    words: list[str] = ["in", "-o", "out", "--journal", "j.db"]
    for _ in range(kills):
        process = subprocess.Popen(
            command(*words), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        written = len(bytes_in("out")) if Path("out").exists() else 0
        while process.poll() is None and (len(bytes_in("out")) if Path("out").exists() else 0) <= written:
            time.sleep(0.02)  # it has begun to write
        time.sleep(chance.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        assert process.returncode in (-9, 0), said
        words = ["--journal", "j.db", "--resume"]
    assert subprocess.run(command(*words), env=environment(), stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert states("j.db") == {"done": count}
    found = bytes_in("out")
    assert len(found) == count, "none lost, none half, nothing hidden left"
    digests = {output: digest for output, digest in rows("j.db", "output, sha256")}
    assert digests == {f"out/{name}": hashlib.sha256(data).hexdigest() for name, data in found.items()}
    assert upscale("in", "-o", "undisturbed", "--quiet") == 0
    assert bytes_in("undisturbed") == found


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_a_run_that_is_killed_goes_on_from_its_journal() -> None:
    killed_at_random(kills=2, count=40, seed=1)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_a_run_that_is_killed_twenty_times_goes_on_from_its_journal() -> None:
    killed_at_random(kills=20, count=400, seed=2)
