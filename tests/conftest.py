"""What all tests share."""

from __future__ import annotations

import os

# The networks in the tests are tiny: threads cost them more than they give. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest


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
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that are loaded from their files, in order."""
    from lib_upscaler.models import loader

    names: list[str] = []
    plain = loader.load_model
    monkeypatch.setattr(loader, "load_model", lambda entry: (names.append(entry.name), plain(entry))[1])
    return names
