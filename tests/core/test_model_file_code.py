"""A model file that wants to run code is refused, and nothing is run."""

from __future__ import annotations

import argparse
import builtins
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lib_upscaler.errors import ModelFileError, UnsafeModelError
from lib_upscaler.models.build import read_state_dict
from model_files import STATE, same, save


class Calls:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Callable, *args: object) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("where", ["alone", "as a weight", "beside the weights", "as a key"])
@pytest.mark.parametrize("how", ["os.system", "open", "eval", "getattr", "import", "own function"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, legacy: bool, where: str, how: str) -> None:
    mark = tmp_path / "mark"
    evil = {
        "os.system": Calls(os.system, f'echo > "{mark}"'),
        "open": Calls(open, str(mark), "w"),
        "eval": Calls(eval, f"open({str(mark)!r}, 'w')"),
        "getattr": Calls(getattr, Calls(builtins.__import__, "os"), "system"),
        "import": Calls(builtins.__import__, "this"),
        "own function": Calls(touch, str(mark)),
    }[how]
    content = {
        "alone": evil,
        "as a weight": {**STATE, "body.0.weight": evil},
        "beside the weights": {"params": STATE, "extra": [evil]},
        "as a key": {"params": STATE, evil: 1},
    }[where]
    path = save(content, tmp_path / "x.pth", legacy)
    sys.modules.pop("this", None)
    with pytest.raises(UnsafeModelError, match=r"nothing was run") as caught:
        read_state_dict(path)
    assert not mark.exists()
    assert "this" not in sys.modules
    wanted = {
        "os.system": "system",
        "open": "open",
        "eval": "eval",
        "getattr": "__import__",
        "import": "__import__",
        "own function": "touch",
    }
    assert wanted[how] in caught.value.why


def touch(path: str) -> None:
    Path(path).touch()


def test_plain_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "x.pth", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Calls(touch, str(mark))))
    with pytest.raises(UnsafeModelError):
        read_state_dict(path)
    assert not mark.exists()


def test_code_that_only_the_state_of_a_training_object_holds_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = save({"params": STATE, "args": argparse.Namespace(x=Calls(touch, str(mark)))}, tmp_path / "x.pth")
    with pytest.raises(UnsafeModelError):
        read_state_dict(path)
    assert not mark.exists()


def test_pickle_cannot_change_the_functions_that_it_may_use(tmp_path: Path) -> None:
    # GLOBAL torch._utils._rebuild_tensor_v2, then BUILD with (None, {"__defaults__": ()}): what sets attributes.
    attack = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__)s\x86b."
    for name in ("attack", "archive"):
        path = tmp_path / f"{name}.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", attack)
        with pytest.raises(ModelFileError, match="damaged"):
            read_state_dict(path)
    assert same(read_state_dict(save(STATE, tmp_path / "x.pth")))
