"""The WebUI's HTTP side as a test sees it: JSON in and out, pictures as Pillow's."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

__all__ = ["OF_FORGE", "Answer", "Background", "Http", "as_base64", "picture"]

OF_FORGE = {"hr_additional_modules": ["Use same choices"]}
"""What Forge's txt2img needs for Hires Fix; another host ignores it."""


def as_base64(image: Image.Image, **saving: Any) -> str:
    """The picture as a PNG in base64."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **saving)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def picture(text: str) -> Image.Image:
    """The picture of an answer."""
    image = Image.open(io.BytesIO(base64.b64decode(text.split(",")[-1])))
    image.load()
    return image


@dataclass(frozen=True)
class Answer:
    """json: the body, None where it is not JSON. seconds: until it was all there."""

    status: int
    json: Any
    seconds: float


class Http:
    """One WebUI at one address, with or without ``user:password``."""

    def __init__(self, port: int, password: str | None = None) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self._password = password
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, path: str, body: Any = None, method: str | None = None, timeout: float = 300) -> Answer:
        """Whatever the server answers, also what is an error. Raises OSError where it does not answer at all."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}{path}", data, {"Content-Type": "application/json"})
        request.method = method or ("GET" if data is None else "POST")
        if self._password is not None:
            word = base64.b64encode(self._password.encode()).decode()
            request.add_header("Authorization", f"Basic {word}")
        started = time.monotonic()
        try:
            with self._opener.open(request, timeout=timeout) as response:
                status, content = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        try:
            parsed = json.loads(content)
        except ValueError:
            parsed = None
        return Answer(status, parsed, time.monotonic() - started)

    def answers(self, path: str = "/openapi.json") -> bool:
        """Whether there is a server, with this path."""
        try:
            return self.ask(path).status != 404
        except OSError:
            return False

    def get(self, path: str, **more: Any) -> Any:
        """The JSON of an answer that must be a success."""
        return self._success(path, self.ask(path, **more))

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        """The same for POST."""
        return self._success(path, self.ask(path, {} if body is None else body, **more))

    @staticmethod
    def _success(path: str, answer: Answer) -> Any:
        assert answer.status == 200, f"{path}: {answer.status} {str(answer.json)[:2000]}"
        return answer.json

    # -- the host's own API --------------------------------------------------------------------------------------------

    def upscalers(self) -> list[str]:
        return [one["name"] for one in self.get("/sdapi/v1/upscalers")]

    def options(self, **changed: Any) -> None:
        self.post("/sdapi/v1/options", changed)

    def txt2img(self, **values: Any) -> tuple[list[Image.Image], list[str]]:
        """Pictures and their infotexts; small, of two steps and always the same unless ``values`` say otherwise."""
        plain = {"prompt": "a cat", "steps": 2, "width": 128, "height": 128, "seed": 1, "sampler_name": "Euler"}
        answer = self.post("/sdapi/v1/txt2img", {**plain, **OF_FORGE, **values})
        return [picture(one) for one in answer["images"]], json.loads(answer["info"])["infotexts"]

    def extras(self, image: Image.Image, upscaler: str, scale: float = 4, **values: Any) -> Image.Image:
        """The built-in Extras, one picture."""
        body = {"image": as_base64(image), "upscaler_1": upscaler, "upscaling_resize": scale, **values}
        return picture(self.post("/sdapi/v1/extra-single-image", body)["image"])

    def interrupt(self) -> None:
        self.post("/sdapi/v1/interrupt")

    def progress(self) -> dict:
        return self.get("/sdapi/v1/progress")

    def wait_for_progress(self, above: float = 0.0, words: str = "TrueScale", seconds: float = 120) -> dict:
        """Until the job's words and its progress are seen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.progress()
            if words in (now["textinfo"] or "") and now["progress"] > above:
                return now
            time.sleep(0.05)
        raise AssertionError(f"no progress above {above} within {seconds} s: {now['progress']}, {now['textinfo']}")

    # -- ours ----------------------------------------------------------------------------------------------------------

    def models(self) -> list[str]:
        return [one["name"] for one in self.get("/truescale/v1/models")]

    def upscale(self, image: Image.Image, **values: Any) -> tuple[Image.Image, dict]:
        """The picture and all of the answer."""
        answer = self.post("/truescale/v1/upscale", {"image": as_base64(image), **values})
        return picture(answer["image"]), answer


class Background:
    """A call in a thread of its own; ``result`` waits for it and raises what it raised."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._value: Any = None
        self._error: BaseException | None = None
        self.ended = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001 - raised again by ``result``
            self._error = error
        self.ended = time.monotonic()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def result(self, seconds: float = 300) -> Any:
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"still running after {seconds} s"
        if self._error is not None:
            raise self._error
        return self._value
