"""Animations as a browser shows them: those that are written, and those that are read."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from lib_upscaler.pictures.frames.source import Frame, read_frames
from lib_upscaler.pictures.frames.writing import write_frames
from lib_upscaler.pictures.metadata import Metadata
from made_animations import Part, apng, gif, moving, webp

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from conftest import Chromium

Shown = tuple[list[np.ndarray], list[float], int]
TIMES = [70, 30, 0, 120, 40, 10]
TYPES = {"gif": "image/gif", "png": "image/png", "webp": "image/webp"}
MAKERS: dict[str, Callable] = {"gif": gif, "png": apng, "webp": webp}

SHOW = """async ([data, type]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const decoder = new ImageDecoder({data: bytes, type, colorSpaceConversion: "none", premultiplyAlpha: "none"});
    await decoder.tracks.ready;
    await decoder.completed;
    const track = decoder.tracks.selectedTrack, frames = [];
    for (let number = 0; number < track.frameCount; number++) {
        const {image} = await decoder.decode({frameIndex: number});
        const [width, height] = [image.displayWidth, image.displayHeight];
        const canvas = new OffscreenCanvas(width, height).getContext("2d");
        canvas.drawImage(image, 0, 0);
        frames.push([width, height, image.duration || 0, [...canvas.getImageData(0, 0, width, height).data]]);
    }
    return [track.repetitionCount === Infinity ? -1 : track.repetitionCount, frames];
}"""


class _Nothing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def blank(browser: Chromium) -> Iterator[Page]:
    """Of this machine: a browser decodes nothing for pages that come from nowhere."""
    server = HTTPServer(("127.0.0.1", 0), _Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.blank(f"http://127.0.0.1:{server.server_port}/")
    yield page
    page.close()
    server.shutdown()


def shown(page: Page, data: bytes, kind: str) -> Shown:
    """Each frame, RGBA, zeros where nothing is; times in ms; repetitions after the first time, -1 without end."""
    repetitions, frames = page.evaluate(SHOW, [base64.b64encode(data).decode(), TYPES[kind]])
    pixels = [plain(np.array(values, np.uint8).reshape(height, width, 4)) for width, height, _, values in frames]
    return pixels, [time / 1000 for _, _, time, _ in frames], repetitions


def plain(pixels: np.ndarray) -> np.ndarray:
    result = np.array(Image.fromarray(pixels).convert("RGBA"))
    result[result[..., 3] == 0] = 0
    return result


@pytest.mark.parametrize("mode", ["L", "RGBA"])
@pytest.mark.parametrize(("kind", "plays"), [("gif", 1), ("gif", 3), ("png", 3), ("webp", 0)])
def test_a_browser_shows_what_was_written(kind: str, plays: int, mode: str, blank: Page, tmp_path: Path) -> None:
    frames = moving(mode, few=kind == "gif")
    given = (Frame(Image.fromarray(pixels), Fraction(time)) for pixels, time in zip(frames, TIMES))
    path = tmp_path / f"a.{kind}"
    write_frames(given, path, Metadata(), count=6, plays=plays)
    found, times, repetitions = shown(blank, path.read_bytes(), kind)
    assert (times, repetitions) == (TIMES, plays - 1)
    for pixels, wanted in zip(found, frames):
        np.testing.assert_array_equal(pixels, plain(wanted))


def some(color: tuple[int, int, int], width: int, height: int, holes: bool = False) -> np.ndarray:
    pixels = np.broadcast_to(np.array([*color, 255], np.uint8), (height, width, 4)).copy()
    if holes:
        pixels[::2, 1::2] = 0
    return pixels


RED, GREEN, BLUE = (200, 30, 20), (10, 180, 40), (20, 30, 190)
ODD = {
    "disposal": (
        ("gif", "png"),
        [
            Part(some(RED, 12, 10), delay=0),
            Part(some(GREEN, 6, 4, holes=True), 2, 2, 7, then=2),
            Part(some(BLUE, 4, 4), 6, 4, 300, then=3),
            Part(some(GREEN, 2, 2), 10, 8, 7),
        ],
    ),
    "replaced": (("png", "webp"), [Part(some(RED, 12, 10)), Part(some(BLUE, 4, 4, holes=True), 2, 2, over=False)]),
    "cleared": (("webp",), [Part(some(RED, 12, 10)), Part(some(BLUE, 4, 4), 2, 2, then=2), Part(some(GREEN, 2, 2))]),
    "small first frame": (("gif", "webp"), [Part(some(RED, 4, 4), 4, 2), Part(some(BLUE, 4, 4), 6, 4)]),
    "beyond the picture": (("gif",), [Part(some(RED, 12, 10)), Part(some(BLUE, 8, 8), 7, 5)]),
    "large first frame": (("gif",), [Part(some(RED, 14, 13)), Part(some(BLUE, 2, 2))]),
}


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, (kinds, _) in ODD.items() for kind in kinds])
def test_what_is_read_is_what_a_browser_shows(name: str, kind: str, blank: Page, tmp_path: Path) -> None:
    data = MAKERS[kind](ODD[name][1], 12, 10, 2)
    (tmp_path / "a").write_bytes(data)
    source = read_frames(tmp_path / "a")
    assert source is not None
    found, times, repetitions = shown(blank, data, kind)
    assert [float(duration) for duration in source.durations] == times
    assert source.plays == repetitions + 1
    for frame, wanted in zip(source.frames(), found):
        np.testing.assert_array_equal(plain(np.asarray(frame.image)), wanted)
