"""What all tests share."""

from __future__ import annotations

import os

# The networks in the tests are tiny: threads cost them more than they give. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from effort import set_long

# Containers often keep Python from writing bytecode. Here dozens of processes would compile the same files anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# -- random jobs -------------------------------------------------------------------------------------------------------

# The same examples each time, and however long they take on a busy machine.
hypothesis.settings.register_profile("the same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("the same")


def pytest_configure(config: pytest.Config) -> None:
    set_long(config.getoption("--long"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


# -- several at a time -------------------------------------------------------------------------------------------------

_LOCKS = pytest.StashKey[tempfile.TemporaryDirectory]()
IN_A_BROWSER = "tests/browser"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    parser.addoption("--long", action="store_true", help="all random jobs, and what takes long")
    if not pluginmanager.hasplugin("xdist"):  # -p no:xdist: pyproject.toml has its options
        parser.addoption("--numprocesses", "--dist", help="None: pytest-xdist is not there.")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three, however many cores there are: what is tested in a browser takes one, which mostly waits, and the rest two
    others. None where a single file is asked for: only one worker could run it.
    """
    files = {argument.split("::")[0] for argument in config.args}
    return 0 if len(files) == 1 and files.pop().endswith(".py") else 3


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each file is one worker's, and all tests in a browser are: they share it and its servers, and mostly wait."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return IN_A_BROWSER if nodeid.startswith(IN_A_BROWSER) else super()._split_scope(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            """What takes longest comes first: the end would wait for it."""
            if IN_A_BROWSER in self.workqueue:
                self.workqueue.move_to_end(IN_A_BROWSER, last=False)
            super()._assign_work_unit(node)

    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A folder for the locks of all workers."""
    if _LOCKS not in node.config.stash:
        node.config.stash[_LOCKS] = tempfile.TemporaryDirectory(prefix="truescale-tests-")
        node.config.add_cleanup(node.config.stash[_LOCKS].cleanup)
    node.workerinput["locks"] = node.config.stash[_LOCKS].name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test marked ``alone`` has all workers' locks, any other one its worker's. Who waits at the gate comes next."""
    worker = getattr(item.config, "workerinput", None)
    if worker is None:
        return (yield)
    from filelock import FileLock

    def lock(name: str) -> FileLock:
        return FileLock(Path(worker["locks"]) / name)

    is_alone = item.get_closest_marker("alone") is not None
    names = [f"gw{number}" for number in range(worker["workercount"])] if is_alone else [worker["workerid"]]
    with ExitStack() as held:
        gate = lock("gate")
        with gate:
            for name in names:
                held.enter_context(lock(name))
        return (yield)


# -- what they share ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real models and pictures beside the checkout; the test is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder 'shared' (real models and pictures) beside the checkout")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither read nor write the user's cache: results must not depend on what ran on this machine before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRUESCALE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def only_the_hosts_spandrel(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As at a first start without a network: there is no spandrel of ours."""
    from lib_upscaler import own_packages
    from lib_upscaler.models import spandrels

    monkeypatch.setenv(own_packages.PACKAGES_VARIABLE, str(tmp_path_factory.mktemp("no packages")))
    monkeypatch.setattr(spandrels._Ours, "loaded", None)
    monkeypatch.setattr(spandrels._Ours, "problem", "")


@pytest.fixture
def own_spandrel_folder() -> Path:
    """The folder of our spandrel; the test is skipped where ``install.py`` has not put it there."""
    from lib_upscaler import own_packages

    folder = own_packages.find()
    if folder is None:
        pytest.skip("needs the packages of our own (python install.py test puts them into their folder)")
    return folder


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that are loaded from their files, in order."""
    from lib_upscaler.models import loader

    names: list[str] = []
    plain = loader.load_model
    monkeypatch.setattr(loader, "load_model", lambda entry: (names.append(entry.name), plain(entry))[1])
    return names
