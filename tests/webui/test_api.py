"""Our routes: /truescale/v1/models, /refresh and /upscale."""

from __future__ import annotations

import base64
import io
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fake_host.running import FakeHost
from lib_upscaler.errors import MemoryLimitError
from networks import PROFILE, encoded, off, picture, true_picture
from small_networks import compact, save_pth
from types_of_fixtures import Engine, StartHost

NO_FLAGS_MATTER = pytest.mark.parametrize("flags", ["--api", "--nowebui", "--api --nowebui"])


def _post(host: FakeHost, source: Image.Image | None = None, **values: Any) -> Any:
    body = {"image": encoded(picture() if source is None else source), "upscaler_1": "four", **values}
    return host.client().post("/truescale/v1/upscale", json=body)


def _picture_of(answer: Any) -> Image.Image:
    assert answer.status_code == 200, answer.text
    image = Image.open(io.BytesIO(base64.b64decode(answer.json()["image"])))
    image.load()
    return image


# -- what can be asked for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({}, (120, 80)),
        ({"scale": 2.5}, (75, 50)),
        ({"width": 100}, (100, 67)),
        ({"height": 50}, (75, 50)),
        ({"width": 100, "height": 100}, (100, 67)),
        ({"width": 100, "height": 60, "fit": "stretch"}, (100, 60)),
        ({"longest_side": 77}, (77, 51)),
        ({"megapixels": 0.006}, (95, 63)),
        ({"tile": 16}, (120, 80)),
        ({"memory_gb": 1.0}, (120, 80)),
        ({"precision": "exact"}, (120, 80)),
        ({"upscaler_2": "two"}, (120, 80)),
        ({"upscaler_2": "None", "upscaler_2_visibility": 0.5}, (120, 80)),
    ],
)
def test_every_field(values: dict[str, Any], size: tuple[int, int], host: FakeHost) -> None:
    answer = _post(host, **values)

    assert off(_picture_of(answer), true_picture("four", picture(), size)) <= 1
    report = answer.json()["report"]
    assert report["output_size"] == list(size)
    assert report["input_size"] == [30, 20]
    assert report["models"] == ["four"]
    assert report["precision"] == "float32"


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_crop_and_pad(fit: str, host: FakeHost) -> None:
    assert _picture_of(_post(host, width=80, height=80, fit=fit)).size == (80, 80)


def test_two_upscalers(host: FakeHost) -> None:
    answer = _post(host, upscaler_2="two", upscaler_2_visibility=0.3, scale=2)

    first, second = (true_picture(name, picture(), (60, 40)).astype(float) for name in ("four", "two"))
    assert off(_picture_of(answer), np.floor(0.7 * first + 0.3 * second + 0.5)) <= 1
    assert answer.json()["report"]["models"] == ["four", "two"]


def test_the_model_that_ships_is_the_default(host: FakeHost) -> None:
    answer = host.client().post("/truescale/v1/upscale", json={"image": encoded(picture())})

    assert _picture_of(answer).size == (120, 80)
    assert answer.json()["report"]["models"] == ["TrueScale 4x"]


def test_a_data_address_and_line_breaks_are_taken(host: FakeHost) -> None:
    text = encoded(picture())
    broken = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    body = {"image": f"data:image/png;base64,{broken}", "upscaler_1": "four"}
    answer = host.client().post("/truescale/v1/upscale", json=body)

    assert off(_picture_of(answer), true_picture("four", picture())) <= 1


@pytest.mark.parametrize(("format_name", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("tiff", "TIFF")])
def test_formats(format_name: str, kind: str, host: FakeHost) -> None:
    answer = _post(host, format=format_name)

    image = _picture_of(answer)
    assert image.format == kind
    assert image.size == (120, 80)
    assert answer.json()["format"] == format_name


@pytest.mark.parametrize(("alpha", "mode"), [("network", "RGBA"), ("fast", "RGBA"), ("drop", "RGB")])
def test_transparency(alpha: str, mode: str, host: FakeHost) -> None:
    assert _picture_of(_post(host, picture(mode="RGBA"), alpha=alpha)).mode == mode


def test_grey_stays_grey(host: FakeHost) -> None:
    assert _picture_of(_post(host, picture(mode="L"))).mode == "L"


def test_profile_and_exif_are_kept(host: FakeHost) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    body = {"image": encoded(picture(), "JPEG", exif=exif, icc_profile=PROFILE), "upscaler_1": "four"}
    image = _picture_of(host.client().post("/truescale/v1/upscale", json=body))

    assert image.getexif()[0x010F] == "A camera"
    assert image.info["icc_profile"] == PROFILE


def test_a_picture_that_was_only_resampled_says_so(host: FakeHost) -> None:
    answer = _post(host, scale=0.5)

    assert _picture_of(answer).size == (15, 10)
    assert any("resampled" in warning for warning in answer.json()["warnings"])


# -- models ------------------------------------------------------------------------------------------------------------


def test_the_models_that_can_be_chosen(with_another: FakeHost) -> None:
    host = with_another
    told = {each["name"]: each for each in host.client().get("/truescale/v1/models").json()}

    assert list(told) == [name for name in host.names() if name != "None"]
    assert told["four"] == {"name": "four", "engine": "truescale", "file": "four.pth"}
    assert told["Another"] == {"name": "Another", "engine": "webui", "file": None}
    assert told["LDSR"]["engine"] == "truescale"
    assert told["R-ESRGAN 4x+"]["file"] == "RealESRGAN_x4plus.pth"


def test_each_of_them_is_a_name_that_works(with_another: FakeHost) -> None:
    for each in with_another.client().get("/truescale/v1/models").json():
        if "R-ESRGAN" not in each["name"] and each["name"] != "LDSR":  # those that would be fetched
            assert _picture_of(_post(with_another, upscaler_1=each["name"], scale=2)).size == (60, 40), each


def test_refresh_finds_new_ones(host: FakeHost) -> None:
    client = host.client()
    save_pth(compact(scale=2, features=4, layers=1), host.models / "new.pth")
    assert "new" not in [each["name"] for each in client.get("/truescale/v1/models").json()]
    refreshed = client.post("/truescale/v1/refresh").json()

    assert "new" in [each["name"] for each in refreshed]
    assert refreshed == client.get("/truescale/v1/models").json()
    assert host.names()[-1] == "new"


# -- errors ------------------------------------------------------------------------------------------------------------


def _failed(answer: Any, code: int, *words: str) -> None:
    assert answer.status_code == code, answer.text
    told = answer.json()
    assert set(told) == {"error", "detail"}
    for word in words:
        assert word in told["detail"], told


WRONG: list[tuple[dict[str, Any], int, str]] = [
    ({"upscaler_1": "fuor"}, 404, "four"),
    ({"upscaler_2": "nonsense", "upscaler_2_visibility": 0.5}, 404, "nonsense"),
    ({"upscaler_1": "None"}, 422, "Upscaler 1"),
    ({"upscaler_1": "R-ESRGAN 4x+"}, 404, "network"),
    ({"scale": 2, "width": 100}, 422, "several ways"),
    ({"scale": 2, "megapixels": 1}, 422, "several ways"),
    ({"scale": 0}, 422, "scale"),
    ({"scale": 1e9}, 422, "scale"),
    ({"width": 0, "height": 0}, 422, ""),
    ({"width": -5}, 422, ""),
    ({"longest_side": 0}, 422, ""),
    ({"width": 10**7}, 422, ""),
    ({"fit": "squeeze", "width": 10}, 422, "crop"),
    ({"precision": "double"}, 422, "exact"),
    ({"alpha": "keep"}, 422, "drop"),
    ({"format": "tga"}, 422, "webp"),
    ({"frames": "some"}, 422, "first"),
    ({"tile": -1}, 422, "tile"),
    ({"memory_gb": -1}, 422, "memory"),
    ({"memory_gb": 0.00001}, 422, "memory"),
    ({"upscaler_2": "two", "upscaler_2_visibility": 2}, 422, "visibility"),
    ({"image": "###"}, 422, "base64"),
    ({"image": base64.b64encode(b"no picture").decode()}, 422, "picture"),
    ({"image": ""}, 422, "picture"),
]
"""What is asked for, the answer's code, and a word of it."""


def test_what_cannot_be_done_is_told_in_words(host: FakeHost) -> None:
    for values, code, word in WRONG:
        _failed(_post(host, **values), code, word)


@pytest.mark.parametrize("body", [{}, {"image": 5, "scale": "large"}, []])
def test_a_body_of_the_wrong_shape_is_refused(body: Any, host: FakeHost) -> None:
    assert host.client().post("/truescale/v1/upscale", json=body).status_code == 422


def test_a_model_that_is_gone_or_broken(host: FakeHost) -> None:
    (host.models / "four.pth").write_bytes(b"nonsense")
    _failed(_post(host), 422, "four.pth")
    (host.models / "four.pth").unlink()
    _failed(_post(host), 404, "four.pth")


def test_whatever_else_fails_is_told_in_words_and_the_next_one_works(host: FakeHost, engine: Engine) -> None:
    def fail(image: Image.Image) -> None:
        raise RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR")

    engine.before = fail
    _failed(_post(host), 422, "CUDNN_STATUS_INTERNAL_ERROR")
    engine.before = lambda image: None
    assert _post(host).status_code == 200


def test_too_little_memory_is_413(host: FakeHost, engine: Engine) -> None:
    def fail(image: Image.Image) -> None:
        raise MemoryLimitError("the picture does not fit", "it is too large", "allow more")

    engine.before = fail
    _failed(_post(host), 413, "does not fit")


def test_interrupted_is_409(host: FakeHost, engine: Engine) -> None:
    engine.before = lambda image: host.state.interrupt()
    _failed(_post(host), 409, "by the user")
    engine.before = lambda image: None
    assert _post(host).status_code == 200
    assert host.state.job_count == 0


# -- who may ask, and where the routes are -----------------------------------------------------------------------------


ROUTES = ["/truescale/v1/models", "/truescale/v1/refresh", "/truescale/v1/health", "/truescale/v1/upscale"]


@NO_FLAGS_MATTER
def test_the_routes_are_in_the_openapi_schema(flags: str, start_host: StartHost) -> None:
    host = start_host(flags)
    schema = host.client().get("/openapi.json").json()

    assert [path for path in schema["paths"] if path.startswith("/truescale")] == ROUTES
    fields = schema["components"]["schemas"]["UpscaleBody"]["properties"]
    assert {"image", "upscaler_1", "upscaler_2", "upscaler_2_visibility", "scale", "width", "height", "fit"} <= set(
        fields
    )
    assert {"longest_side", "megapixels", "precision", "tile", "memory_gb", "alpha", "format"} <= set(fields)


@NO_FLAGS_MATTER
def test_the_routes_work_with_either_flag(flags: str, start_host: StartHost) -> None:
    host = start_host(flags, truescale_precision="exact")

    assert off(_picture_of(_post(host)), true_picture("four", picture())) <= 1
    assert host.reported == []


def test_without_the_flag_there_are_no_routes(start_host: StartHost) -> None:
    client = start_host("").client()

    assert [client.get(route).status_code for route in ROUTES] == [404] * len(ROUTES)


def test_the_routes_are_there_after_a_reload(host: FakeHost) -> None:
    assert _post(host).status_code == 200
    host.reload()

    assert off(_picture_of(_post(host)), true_picture("four", picture())) <= 1


@pytest.mark.parametrize("auth", [None, ("ann", "wrong"), ("bob", "secret"), ("eve", "x")])
def test_the_hosts_password_is_asked_for(auth: tuple[str, str] | None, start_host: StartHost) -> None:
    host = start_host("--api --api-auth ann:secret,bob:other")
    client = host.client(auth)
    body = {"image": encoded(picture()), "upscaler_1": "four"}

    assert client.get("/truescale/v1/models").status_code == 401
    assert client.post("/truescale/v1/refresh").status_code == 401
    assert client.post("/truescale/v1/upscale", json=body).status_code == 401
    assert client.get("/sdapi/v1/upscalers").status_code == 401  # the host's own route agrees


@pytest.mark.parametrize("auth", [("ann", "secret"), ("bob", "other")])
def test_with_the_password_it_works(auth: tuple[str, str], start_host: StartHost) -> None:
    host = start_host("--api --api-auth ann:secret,bob:other")

    assert host.client(auth).get("/truescale/v1/models").status_code == 200
    assert host.client(auth).get("/sdapi/v1/upscalers").status_code == 200


def test_two_clients_at_once(host: FakeHost) -> None:
    answers: dict[int, Any] = {}
    client = host.client()

    def ask(number: int) -> None:
        body = {"image": encoded(picture(20 + number, 24, seed=number)), "upscaler_1": "four", "scale": 3}
        answers[number] = client.post("/truescale/v1/upscale", json=body)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    for number in range(4):
        image = picture(20 + number, 24, seed=number)
        assert off(_picture_of(answers[number]), true_picture("four", image, (3 * (20 + number), 72))) <= 1


def test_it_waits_for_the_hosts_own_job(host: FakeHost, engine: Engine) -> None:
    lock, answers = host.module("call_queue").queue_lock, []
    client = host.client()
    body = {"image": encoded(picture()), "upscaler_1": "four"}
    with lock:
        thread = threading.Thread(target=lambda: answers.append(client.post("/truescale/v1/upscale", json=body)))
        thread.start()
        thread.join(0.3)
        assert engine.pictures == []
        assert thread.is_alive()
    thread.join(30)

    assert answers[0].status_code == 200


# -- animations --------------------------------------------------------------------------------------------------------


def _animation(kind: str, count: int = 3) -> tuple[str, list[Image.Image]]:
    """In base64, and its frames as they are seen."""
    frames = [Image.fromarray(np.roll(np.asarray(picture()), 5 * number, axis=1)) for number in range(count)]
    options = {"lossless": True} if kind == "webp" else {}
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=[70, 120, 40], loop=0, **options)
    return base64.b64encode(buffer.getvalue()).decode(), [frame for frame, _ in _shown(Image.open(buffer))]


def _shown(image: Image.Image) -> list[tuple[Image.Image, float]]:
    """Frames as Pillow shows them, with their times."""
    found = []
    for number in range(image.n_frames):
        image.seek(number)
        image.load()
        found.append((image.convert("RGB"), image.info.get("duration", 0)))
    return found


def _upscaled(host: FakeHost, image: str, **values: Any) -> tuple[dict, Image.Image]:
    answer = host.client().post("/truescale/v1/upscale", json={"image": image, "upscaler_1": "four", **values})
    assert answer.status_code == 200, answer.text
    return answer.json(), Image.open(io.BytesIO(base64.b64decode(answer.json()["image"])))


@pytest.mark.parametrize(("kind", "named"), [("gif", "gif"), ("png", "png"), ("webp", "webp"), ("tiff", "tiff")])
def test_an_animation_gives_one_of_its_own_kind(kind: str, named: str, host: FakeHost) -> None:
    data, frames = _animation(kind)
    told, image = _upscaled(host, data)

    assert (told["format"], told["report"]["frames"], image.n_frames) == (named, 3, 3)
    found = _shown(image)
    for (shown, _), frame in zip(found, frames):
        true = true_picture("four", frame)
        if kind == "gif":  # by Pillow's own choice of 256 colours
            own = np.asarray(Image.fromarray(np.uint8(true)).quantize(255).convert("RGB"))
            assert (
                np.abs(np.asarray(shown) - true.astype(float)).mean() <= 1.2 * np.abs(own - true.astype(float)).mean()
            )
        else:
            assert off(shown, true) <= 1
    if kind != "tiff":
        assert [time for _, time in found] == [70, 120, 40]


@pytest.mark.parametrize(
    ("values", "frames"), [({"format": "webp"}, 3), ({"format": "jpg"}, 1), ({"frames": "first"}, 1)]
)
def test_frames_as_they_are_asked_for(values: dict[str, Any], frames: int, host: FakeHost) -> None:
    told, image = _upscaled(host, _animation("gif")[0], **values)

    assert told["format"] == values.get("format", "png")
    assert getattr(image, "n_frames", 1) == frames
    assert any("only the first" in warning for warning in told["warnings"]) == (frames == 1)


def test_a_damaged_frame_is_named(host: FakeHost) -> None:
    data = base64.b64decode(_animation("gif")[0])[:-300]
    body = {"image": base64.b64encode(data).decode(), "upscaler_1": "four"}
    answer = host.client().post("/truescale/v1/upscale", json=body)

    assert answer.status_code == 422
    assert "frame 3" in answer.json()["detail"]
