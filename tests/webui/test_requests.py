"""Requests that mean harm, or nothing: other sites' pages, odd values, addresses where there is to be no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_host.running import FakeHost, called
from lib_upscaler.errors import RequestError
from networks import encoded, picture
from types_of_fixtures import StartHost

ROUTE = "/truescale/v1/upscale"
FOREIGN = [
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:3000"},
    {"origin": "https://evil.example", "host": "192.168.0.5:7860"},
    {"origin": "null", "host": "192.168.0.5:7860"},
]
OWN = [
    {"sec-fetch-site": "same-origin", "origin": "https://webui.example"},
    {"sec-fetch-site": "none"},
    {"origin": "http://192.168.0.5:7860", "host": "192.168.0.5:7860"},
    {"origin": "https://webui.example", "host": "127.0.0.1:7860", "x-forwarded-host": "webui.example"},
    {"host": "127.0.0.1:7860"},
]


# -- other sites' pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [ROUTE, "/truescale/v1/refresh"])
def test_another_sites_page_is_refused_in_words(path: str, host: FakeHost) -> None:
    client = host.client()
    for headers in FOREIGN:
        answer = client.post(path, json={"image": encoded(picture())}, headers=headers)
        assert answer.status_code == 403, headers
        assert "page of another site" in answer.json()["detail"], headers


def test_the_own_page_and_programs_are_answered(host: FakeHost) -> None:
    client, body = host.client(), {"image": encoded(picture()), "upscaler_1": "two"}
    for headers in OWN:
        assert client.post(ROUTE, json=body, headers=headers).status_code == 200, headers


def test_a_site_that_the_user_allows_is_answered(start_host: StartHost) -> None:
    def allow(host: FakeHost) -> None:
        host.module("shared").cmd_opts.cors_allow_origins = "https://app.example, https://b.example"

    host = start_host(change=allow)
    answer = host.client().post("/truescale/v1/refresh", headers={**FOREIGN[0], "origin": "https://app.example"})
    assert answer.status_code == 200
    assert host.client().post("/truescale/v1/refresh", headers=FOREIGN[0]).status_code == 403


@pytest.mark.parametrize("kind", [None, "text/plain", "multipart/form-data"])
def test_what_is_not_said_to_be_json_is_refused(kind: str | None, host: FakeHost) -> None:
    """A browser sends these from any site without asking."""
    content = json.dumps({"image": encoded(picture())}).encode()
    client = host.client()
    headers = {} if kind is None else {"content-type": kind}
    assert client.post(ROUTE, content=content, headers=headers).status_code == 415


EVENTS = ("preset_do", "catalogue_download", "catalogue_stop", "catalogue_again")


@pytest.mark.parametrize("part", EVENTS)
def test_events_that_change_something_are_the_own_pages(part: str, host: FakeHost) -> None:
    component = host.component(f"truescale_extras_{part}")
    first = [
        number
        for number, event in enumerate(host.demo.dependencies)
        if component._id in [each[0] if isinstance(each, (list, tuple)) else each for each in event["targets"]]
        and event["trigger_after"] is None
    ]
    assert first
    for number in first:
        event = host.demo.dependencies[number]
        assert event["queue"] is False, "of one from the queue, the headers are what the caller claims"
        for headers in FOREIGN:
            with pytest.raises(RequestError, match="another page asked for this"):
                called(host.demo.fns[number].fn, [None] * len(event["inputs"]), **headers)


def test_headers_that_the_caller_claims_are_not_believed(host: FakeHost) -> None:
    """gradio 3 takes them from the body of a request."""
    import gradio as gr

    saved: list[str] = []
    guarded = host.ours("panels.own_page").only_own_page(saved.append)
    with pytest.raises(RequestError):
        guarded(gr.Request(headers={"sec-fetch-site": "same-origin"}), "mine")
    assert saved == []


# -- odd values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scale", "megapixels", "memory_gb", "upscaler_2_visibility", "width", "tile"])
def test_what_is_no_number_is_refused(name: str, host: FakeHost) -> None:
    client = host.client()
    plain = json.dumps({"image": encoded(picture()), "upscaler_1": "two", name: 0})
    for text in ("NaN", "Infinity", "-Infinity"):
        body = plain.replace(f'"{name}": 0', f'"{name}": {text}')
        answer = client.post(ROUTE, content=body.encode(), headers={"content-type": "application/json"})
        assert answer.status_code == 422, (text, answer.text)


@pytest.mark.parametrize("value", [1.5, -0.1])
def test_a_visibility_is_checked_without_a_second_upscaler(value: float, host: FakeHost) -> None:
    body = {"image": encoded(picture()), "upscaler_1": "two", "upscaler_2_visibility": value}
    answer = host.client().post(ROUTE, json=body)
    assert answer.status_code == 422
    assert "from 0 to 1" in answer.json()["detail"]


@pytest.mark.parametrize("upscaler", ["Lanczos", "two"])
@pytest.mark.parametrize(
    "more", [{"width": 64_000, "height": 64_000, "fit": "stretch"}, {"scale": 8, "memory_gb": 0.00001}]
)
def test_no_upscaler_makes_what_memory_cannot_hold(upscaler: str, more: dict[str, Any], host: FakeHost) -> None:
    answer = host.client().post(ROUTE, json={"image": encoded(picture()), "upscaler_1": upscaler, **more})
    assert answer.status_code in (413, 422)
    assert "memory" in answer.json()["detail"]


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["four", "one > two", "None", "auto", "crop", "jpg", "Scale by", "\x00", "../x", "a > b > c"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def test_whatever_is_asked_is_answered_in_words(start_host: StartHost) -> None:
    """By the routes' own schema, and past it: never an error of ours without words, nor a result of another size."""
    host = start_host(truescale_precision="exact")
    client = host.client()
    schema = client.get("/openapi.json").json()
    assert {path for path in schema["paths"] if path.startswith("/truescale")} == {
        "/truescale/v1/models", "/truescale/v1/refresh", "/truescale/v1/health", ROUTE
    }  # fmt: skip
    names = list(schema["components"]["schemas"]["UpscaleBody"]["properties"])
    image = encoded(picture(6, 5))

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from([*names, "other"]), ODD, max_size=4), st.booleans())
    def ask(body: dict[str, Any], with_image: bool) -> None:
        sent = {"upscaler_1": "two", "memory_gb": 0.2, **body, **({"image": image} if with_image else {})}
        answer = client.post(ROUTE, json=sent)
        assert answer.status_code in (200, 404, 409, 413, 422), answer.text
        said = answer.json()
        assert said["report"] if answer.status_code == 200 else said["detail"]

    ask()


# -- no network --------------------------------------------------------------------------------------------------------


def test_the_hosts_models_are_not_fetched_where_there_is_to_be_no_network(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(host.module("modelloader"), "load_file_from_url", lambda *given, **more: fetched.append(given))
    monkeypatch.setenv("TRUESCALE_OFFLINE", "1")
    answer = host.client().post(ROUTE, json={"image": encoded(picture()), "upscaler_1": "R-ESRGAN 4x+"})

    assert answer.status_code == 404
    assert "TRUESCALE_OFFLINE" in answer.json()["detail"]
    assert fetched == []
