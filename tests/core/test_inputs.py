"""Lists of names, in files and on standard input."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from folders import bytes_in, command, environment, network, noise
from lib_upscaler.batch.inputs import named_inputs, plan_batch
from lib_upscaler.batch.naming import destination_of
from lib_upscaler.errors import RequestError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(*words: str, out: str = "out") -> dict[str, str]:
    inputs = named_inputs(words)
    destination = destination_of(inputs.places, out, None, several=inputs.may_be_several)
    tasks = plan_batch(inputs.all(), destination).tasks
    return {task.source.as_posix(): task.output.as_posix() for task in tasks}


def test_a_list_names_files_and_folders() -> None:
    noise("in", 2)
    noise("other", 1, first=7)
    Path("list.txt").write_bytes(b"\xef\xbb\xbfin\r\n\r\nother/0007.png\nin/0001.png\n")
    assert planned("@list.txt") == {
        "in/0000.png": "out/0000.png",
        "in/0001.png": "out/0001.png",
        "other/0007.png": "out/0007.png",
    }


@pytest.mark.skipif(os.name == "nt", reason="names there are Unicode")
def test_names_in_a_list_need_be_no_unicode() -> None:
    Path("list.txt").write_bytes(b"in/\xff.png\n")
    assert [os.fsencode(name) for name in planned("@list.txt")] == [b"in/\xff.png"]


def test_a_file_whose_name_begins_with_the_sign_is_that_file() -> None:
    noise(".", 1)
    Path("0000.png").rename("@a.png")
    assert planned("@a.png") == {"@a.png": "out/@a.png"}


def test_a_list_that_is_not_there() -> None:
    with pytest.raises(RequestError, match="there is no such file"):
        named_inputs(["@none.txt"])


@pytest.mark.parametrize("as_file", [True, False])
def test_results_of_a_list_go_into_a_folder_as_of_several_inputs(as_file: bool) -> None:
    noise("in", 1)
    Path("list.txt").write_text("in/0000.png\n")
    if as_file:
        Path("there.png").write_bytes(b"x")
        with pytest.raises(RequestError, match="several inputs"):
            planned("@list.txt", out="there.png")
    else:
        assert planned("@list.txt", out="new.png") == {"in/0000.png": "new.png/0000.png"}


def test_names_come_from_standard_input_as_other_programs_write_them() -> None:
    network()
    noise("in", 3)
    names = "".join(f"in/{number:04}.png\n" for number in (2, 0))
    done = subprocess.run(
        command("-", "-o", "out"), env=environment(), input=names, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(bytes_in("out")) == ["0000.png", "0002.png"]


def test_an_empty_list_is_nothing_to_do() -> None:
    network()
    done = subprocess.run(command("-"), env=environment(), input="\n", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "The list names none" in done.stderr


def test_a_list_of_another_coding_is_told_in_words() -> None:
    Path("list.txt").write_text("in/0000.png\n", encoding="utf-16")  # as some consoles write it
    with pytest.raises(RequestError, match="UTF-16"):
        planned("@list.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_what_is_no_file_holds_nobody_up() -> None:
    noise("in", 1)
    os.mkfifo("in/z.png")
    inputs = named_inputs(["in"])
    plan = plan_batch(inputs.all(), destination_of(inputs.places, "out", None))
    assert [task.source.name for task in plan.tasks] == ["0000.png", "z.png"]
