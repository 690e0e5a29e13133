"""ADetailer in a real WebUI while SD Upscale redraws. What it imports the WebUI's Python must have, but for its
detector, which has a stand-in.

python -m pytest tests/real_webui/test_adetailer.py --webui DIR --adetailer DIR
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from canvas_host import off, redraw
from webui_process import DataFolder, Host, Server

SIZE = (384, 256)


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, host: Host, new_data: Callable[..., DataFolder]) -> Iterator[Server]:
    folder = request.config.getoption("--adetailer", default=None)
    if folder is None:
        pytest.skip("needs ADetailer: --adetailer DIR")
    data = new_data(scripts=("detector",))
    (data.extensions / "test-detector").rename(data.extensions / "a-detector")  # before what imports it
    data.install_extension(folder.resolve())
    (data.path / "models" / "adetailer").mkdir()
    (data.path / "models" / "adetailer" / "middle.pt").write_bytes(b"never read")
    with Server(host, data, ("--ad-no-huggingface",)) as running:
        yield running


@pytest.fixture
def image(photo: Callable[[int, int], Image.Image]) -> Image.Image:
    return photo(*SIZE)


DETAILED = {"alwayson_scripts": {"ADetailer": {"args": [True, False, {"ad_model": "middle.pt", "ad_mask_blur": 0}]}}}


def detected(server: Server, run: Callable[[], Any]) -> Counter[str]:
    """Sizes of the pictures that it was shown."""
    file = server.data.path / "detected.txt"
    file.unlink(missing_ok=True)
    run()
    return Counter(file.read_text(encoding="utf-8").split()) if file.exists() else Counter()


def test_on_one_canvas_it_gets_the_picture_as_a_whole(server: Server, image: Image.Image) -> None:
    """Once, and what it has not found stays as it is."""
    script, results = {"engine": "One canvas", "tile_width": 256}, []
    (plain,), _ = redraw(server, image, script, steps=4)
    shown = detected(server, lambda: results.extend(redraw(server, image, script, steps=4, **DETAILED)[0]))
    assert shown == {"384x256": 1}
    (detailed,) = results
    changed = np.abs(np.asarray(detailed).astype(int) - np.asarray(plain)).max(2)
    assert changed[64:192, 96:288].mean() > 1
    changed[56:200, 88:296] = 0  # with what it puts around what it finds
    assert changed.max() == 0


def test_in_tiles_it_gets_each_tile(server: Server, image: Image.Image) -> None:
    script, results = {"engine": "Tiles", "tile_width": 192, "overlap": 32}, []
    (plain,), _ = redraw(server, image, script, steps=4)
    shown = detected(server, lambda: results.extend(redraw(server, image, script, steps=4, **DETAILED)[0]))
    assert shown == {"192x192": 6}
    assert len(results) == 1
    assert off(results[0], plain) > 1
