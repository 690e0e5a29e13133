"""The accordion "Get models": what it offers, says before and after a download, and does where none is possible."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from fake_host.running import FakeHost, called
from lib_upscaler import catalogue
from lib_upscaler.catalogue.transfer import open_url
from lib_upscaler.errors import DownloadError, NoNetworkError
from small_networks import compact, save_pth
from types_of_fixtures import StartHost

OWN = "truescale_test_catalogue"


def make(label: str, data: bytes = b"", **changed: Any) -> catalogue.Entry:
    scale, name = label.split("x ", 1)
    facts = {
        "id": label.replace(" ", "-"),
        "name": name,
        "authors": ("Ann", "Bob"),
        "license": "CC-BY-4.0",
        "architecture": "Compact",
        "scale": int(scale),
        "input_channels": 3,
        "output_channels": 3,
        "purposes": ("photos",),
        "date": "2024-02-03",
        "file": f"{name}.pth",
        "size": len(data) or 12_345_678,
        "sha256": hashlib.sha256(data).hexdigest(),
        "urls": ("https://models.invalid/x.pth",),
    }
    return catalogue.Entry(**{**facts, **changed})


@dataclass
class Panel:
    """The accordion on a page of its own. refreshed: how often the lists were brought up to date."""

    host: FakeHost
    refreshed: list[None] = field(default_factory=list)

    def html(self, part: str) -> str:
        return self.host.component(f"{OWN}_{part}").value or ""

    def press(self, part: str, *inputs: Any) -> Iterator[dict[str, Any]]:
        """What each step of the event, and then of those that follow it, does to other components."""
        demo = self.host.demo
        component = self.host.component(f"{OWN}_{part}")
        numbers = [
            number
            for number, event in enumerate(demo.dependencies)
            if event["trigger_after"] is None
            and component._id in [each[0] if isinstance(each, (list, tuple)) else each for each in event["targets"]]
        ]
        while numbers:
            number = numbers.pop(0)
            event = demo.dependencies[number]
            outputs = [demo.blocks[each].elem_id for each in event["outputs"]]
            given = called(demo.fns[number].fn, inputs[: len(event["inputs"])])
            for step in given if inspect.isgenerator(given) else [given] if outputs else []:
                values = step if len(outputs) > 1 else [step]
                yield {(name or "").replace(f"{OWN}_", ""): value for name, value in zip(outputs, values)}
            numbers += [later for later, each in enumerate(demo.dependencies) if each["trigger_after"] == number]

    def after(self, part: str, *inputs: Any) -> dict[str, Any]:
        """The state at the end."""
        end: dict[str, Any] = {}
        for step in self.press(part, *inputs):
            for name, value in step.items():
                is_update = isinstance(value, dict)
                end[name] = {**end.get(name, {}), **value} if is_update and isinstance(end.get(name), dict) else value
        return end


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[catalogue.Entry]:
    """What the catalogue holds; a test may change it before the page is built."""
    listed = [
        make("1x Clean", purposes=("JPEG damage", "noise")),
        make("2x Toon", purposes=("illustration",)),
        make("4x Both", purposes=("photos", "illustration")),
        make("4x Hand", urls=(), license=""),
    ]
    monkeypatch.setattr(catalogue, "entries", lambda: tuple(listed))
    for name in ("TRUESCALE_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return listed


@pytest.fixture
def build(
    start_host: StartHost, offered: list[catalogue.Entry], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Panel]:
    """Starts a fake host with these settings, and builds the accordion."""

    def made(opener: Any = None, **settings: Any) -> Panel:
        host = start_host(ui=False, **settings)
        # As the hosts have it from 1.9 on, or as those before.
        util = SimpleNamespace(**({} if opener is None else {"open_folder": opener}))
        monkeypatch.setitem(sys.modules, "modules.util", util)
        shown = Panel(host)

        def refreshed() -> list[Any]:
            shown.refreshed.append(None)
            FakeHost.ours("upscaling.service").service().refresh()
            return [gr.update(choices=["fresh"])]

        with gr.Blocks() as host.demo:
            listed = gr.Dropdown(label="Upscaler", choices=[], elem_id="listed")
            FakeHost.ours("panels.catalogue").ui("truescale_test", refreshed, [listed])
        return shown

    return made


@pytest.fixture
def shown(build: Callable[..., Panel]) -> Panel:
    return build()


class _Texts(HTMLParser):
    """Text nodes, and the attributes of links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.nodes: list[str] = []
        self.links: list[dict[str, Any]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "a":
            self.links.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.nodes += [data.strip()] if data.strip() else []


def words(html: str) -> str:
    return " ".join(_Texts(html).nodes)


# -- choosing ----------------------------------------------------------------------------------------------------------


def test_it_is_closed_and_offers_everything(shown: Panel) -> None:
    assert shown.host.component(OWN).open is False
    assert shown.host.component(OWN).label == "Get models"
    assert choices(shown, "model") == ["1x Clean", "2x Toon", "4x Both", "4x Hand"]
    assert choices(shown, "for") == ["Everything", "photos", "illustration", "JPEG damage", "noise"]
    assert choices(shown, "of_scale") == ["any", "1x", "2x", "4x"]
    assert shown.host.component(f"{OWN}_download").interactive is False


def choices(shown: Panel, part: str) -> list[str]:
    return [each[0] if isinstance(each, tuple) else each for each in shown.host.component(f"{OWN}_{part}").choices]


@pytest.mark.parametrize(
    ("purpose", "scale", "fitting"),
    [
        ("Everything", "any", ["1x Clean", "2x Toon", "4x Both", "4x Hand"]),
        ("illustration", "any", ["2x Toon", "4x Both"]),
        ("illustration", "4x", ["4x Both"]),
        ("Everything", "4x", ["4x Both", "4x Hand"]),
        ("noise", "4x", []),
        (None, None, ["1x Clean", "2x Toon", "4x Both", "4x Hand"]),
    ],
)
@pytest.mark.parametrize("part", ["for", "of_scale"])
def test_the_filters(part: str, purpose: str | None, scale: str | None, fitting: list[str], shown: Panel) -> None:
    (changed,) = shown.press(part, purpose, scale, "4x Both")
    assert changed["model"]["choices"] == fitting
    assert changed["model"]["value"] == ("4x Both" if "4x Both" in fitting else None)


def test_the_card_says_what_one_should_know_before_a_download(shown: Panel) -> None:
    changed = shown.after("model", "4x Both")
    text = _Texts(changed["card"])
    said = " ".join(text.nodes)
    for fact in ("Ann, Bob", "CC-BY-4.0", "Compact 4x", "12.3 MB", "photos", "illustration", "2024-02-03"):
        assert fact in said, fact
    assert text.links == [
        {"href": "https://openmodeldb.info/models/4x-Both", "target": "_blank", "rel": "noopener noreferrer"}
    ]
    assert changed["download"]["interactive"] is True


def test_a_model_that_cannot_be_downloaded_says_where_it_goes(shown: Panel) -> None:
    changed = shown.after("model", "4x Hand")
    said = words(changed["card"])
    assert "not stated" in said
    assert "Fetch it from its page" in said
    assert str(shown.host.models) in said
    assert changed["download"]["interactive"] is False


@pytest.mark.parametrize("label", [None, "", "9x Unknown"])
def test_no_choice_is_no_download(label: str | None, shown: Panel) -> None:
    assert shown.after("model", label)["download"]["interactive"] is False
    assert "Choose a model first" in words(shown.after("download", label)["progress"])


def test_one_that_is_there_under_any_name_is_installed(
    offered: list[catalogue.Entry], build: Callable[..., Panel]
) -> None:
    shown = build(models={"renamed": compact(scale=2, features=4, layers=1)})
    data = (shown.host.models / "renamed.pth").read_bytes()
    assert "installed" not in words(shown.after("model", "4x Both")["card"])
    there = make("4x Here", data)
    same_size = replace(there, id="4x-Other", name="Other", sha256="0" * 64)
    offered += [there, same_size]
    FakeHost.ours("upscaling.service").service().refresh()
    with gr.Blocks() as shown.host.demo:
        FakeHost.ours("panels.catalogue").ui("truescale_test", list, [])
    changed = shown.after("model", "4x Here")
    assert words(changed["card"]).endswith("installed · renamed")
    assert changed["download"]["interactive"] is False
    assert shown.after("model", "4x Other")["download"]["interactive"] is True


def test_names_are_shown_as_they_are(offered: list[catalogue.Entry], build: Callable[..., Panel]) -> None:
    offered[:] = [make("4x Bad", authors=("<b>Eve</b>",), license="<i>")]
    card = build().after("model", "4x Bad")["card"]
    assert "<b>" not in card
    assert "<i>" not in card
    assert "<b>Eve</b>" in words(card)


# -- an empty library --------------------------------------------------------------------------------------------------


def test_with_no_model_but_ours_it_says_what_to_do(build: Callable[..., Panel]) -> None:
    shown = build(models={})
    said = words(shown.html("empty"))
    assert str(shown.host.models) in said
    assert "no models but the one that comes with TrueScale" in said
    assert "refresh" in said


def test_with_a_model_there_is_nothing_to_say(shown: Panel) -> None:
    assert shown.html("empty") == ""


def test_a_model_that_was_put_there_later_is_noticed(build: Callable[..., Panel]) -> None:
    shown = build(models={})
    save_pth(compact(scale=2, features=4, layers=1), shown.host.models / "later.pth")
    FakeHost.ours("upscaling.service").service().refresh()
    assert shown.after("model", "4x Both")["empty"] == ""


# -- downloading -------------------------------------------------------------------------------------------------------


class Gate(BaseHTTPRequestHandler):
    """Gives one half, and the other one when the test says so."""

    data = b""
    open: threading.Event

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        half = len(self.data) // 2
        self.wfile.write(self.data[:half])
        self.wfile.flush()
        self.open.wait(20)
        try:
            self.wfile.write(self.data[half:])
        except ConnectionError:  # the user has stopped it
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def gate(offered: list[catalogue.Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A server with "4x New" and "4x Next"; open it to let the second half through."""
    monkeypatch.setenv("no_proxy", "*")
    save_pth(compact(scale=4, features=4, layers=1, seed=5), tmp_path / "new.pth")
    gate = threading.Event()
    handler = type("Handler", (Gate,), {"data": (tmp_path / "new.pth").read_bytes(), "open": gate})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    offered += [make("4x New", handler.data, urls=(f"{address}new",))]
    offered += [make("4x Next", handler.data + b"!", urls=(f"{address}next",))]
    opener = functools.partial(open_url, allowed=(address,))
    monkeypatch.setattr(catalogue, "download", functools.partial(catalogue.download, opener=opener))
    yield gate
    gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_shows_its_progress_and_ends_in_the_lists(
    gate: threading.Event, build: Callable[..., Panel]
) -> None:
    shown = build(models={})
    steps = shown.press("download", "4x New")
    first = next(steps)
    assert first["download"]["interactive"] is False
    assert first["stop"]["interactive"] is True
    halfway = next(step for step in steps if "50%" in step["progress"])
    assert re.search("role='progressbar' aria-valuemin='0' aria-valuemax='100' aria-valuenow='50'", halfway["progress"])
    named = re.search("aria-labelledby='([^']+)'", halfway["progress"]).group(1)
    assert f"<span id='{named}'>" in halfway["progress"]
    assert "4x New" in words(halfway["progress"])
    assert shown.refreshed == []
    gate.set()
    end = [step for step in steps if "50%" not in step.get("progress", "")]
    assert "Downloaded, checked, and in the lists now · New.pth" in words(end[0]["progress"])
    assert end[0]["stop"]["interactive"] is False
    assert (shown.host.models / "New.pth").is_file()
    assert len(shown.refreshed) == 1
    assert "installed · New" in words(end[-1]["card"])
    assert end[-1]["download"]["interactive"] is False
    assert end[-1]["listed"]["choices"] == ["fresh"]
    assert end[-1]["empty"] == ""


def test_stop_ends_it_and_the_next_one_goes_on(gate: threading.Event, build: Callable[..., Panel]) -> None:
    shown = build()
    steps = shown.press("download", "4x New")
    next(step for step in steps if "50%" in step["progress"])
    list(shown.press("stop"))
    gate.set()
    *_, end, after = steps
    assert "Stopped; the next download of it goes on from there" in words(end["progress"])
    assert after["download"]["interactive"] is True
    assert not (shown.host.models / "New.pth").exists()
    assert (shown.host.models / ".New.pth.part").stat().st_size > 0
    assert "Downloaded" in words(shown.after("download", "4x New")["progress"])


def test_one_at_a_time(gate: threading.Event, build: Callable[..., Panel]) -> None:
    shown = build()
    steps = shown.press("download", "4x New")
    next(steps)
    assert shown.after("model", "4x Next")["download"]["interactive"] is False
    refused = shown.after("download", "4x Next")
    assert "this one is under way · 4x New" in words(refused["progress"])
    assert refused["stop"]["interactive"] is True
    anew = shown.after("model", "4x New")  # as after the page was loaded anew
    assert anew["download"]["interactive"] is True
    assert anew["stop"]["interactive"] is True
    again = shown.press("download", "4x New")
    assert "Downloading" in words(next(again)["progress"])
    gate.set()
    for each in (steps, again):
        assert any("Downloaded" in words(step.get("progress", "")) for step in each)
    assert shown.after("model", "4x Next")["download"]["interactive"] is True


def test_another_file_than_announced_is_told(gate: threading.Event, build: Callable[..., Panel]) -> None:
    shown = build()
    gate.set()
    end = shown.after("download", "4x Next")
    assert "truescale-problem" in end["progress"]
    assert "has changed, or was damaged" in words(end["progress"])
    assert not (shown.host.models / "Next.pth").exists()


def _with_flag(flag: str) -> Callable[[FakeHost], None]:
    """What starts a host with a flag of its command line."""
    return lambda host: setattr(host.module("shared").cmd_opts, flag, True)


def test_without_a_queue_the_end_is_shown_at_once(gate: threading.Event, build: Callable[..., Panel]) -> None:
    gate.set()
    shown = build(change=_with_flag("no_gradio_queue"))
    first, last = shown.press("download", "4x New")
    assert "Downloaded" in words(first["progress"])
    assert "installed" in words(last["card"])


# -- without a network -------------------------------------------------------------------------------------------------


def test_without_a_network_no_download_is_offered_until_it_is_back(
    shown: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> Any:
        raise NoNetworkError("nothing was downloaded", "there is no network", "")

    downloads = FakeHost.ours("panels.downloads")
    monkeypatch.setattr(downloads, "download", lost)
    end = shown.after("download", "4x Both")
    assert "there is no network" in words(end["progress"])
    assert end["again"]["visible"] is True
    assert end["download"]["interactive"] is False
    other = shown.after("model", "2x Toon")
    assert other["download"]["interactive"] is False
    assert other["again"]["visible"] is True

    asked = []
    monkeypatch.setattr(downloads, "has_network", lambda urls: asked.append(urls))
    still = shown.after("again", "4x Both")
    assert "There is no network yet" in words(still["progress"])
    assert "visible" not in still["again"]

    monkeypatch.setattr(downloads, "has_network", lambda urls: True)
    back = shown.after("again", "4x Both")
    assert asked == [("https://models.invalid/x.pth",)]
    assert back["again"]["visible"] is False
    assert back["download"]["interactive"] is True
    assert shown.after("again", "4x Hand")["download"]["interactive"] is False


def test_a_user_who_wants_no_network_is_not_offered_a_download(shown: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUESCALE_OFFLINE", "1")
    changed = shown.after("model", "4x Both")
    assert "switched off by the environment variable · TRUESCALE_OFFLINE" in words(changed["card"])
    assert changed["download"]["interactive"] is False


# -- the folder --------------------------------------------------------------------------------------------------------


def test_the_folder_is_shown_in_the_file_manager(build: Callable[..., Panel]) -> None:
    opened = []
    shown = build(opener=opened.append)
    assert shown.after("open_folder") == {"folder_note": ""}
    assert opened == [str(shown.host.models)]


def test_a_file_manager_that_is_missing_is_told(build: Callable[..., Panel]) -> None:
    def missing(_: str) -> None:
        raise FileNotFoundError(2, "No such file or directory", "xdg-open")

    assert "xdg-open" in words(build(opener=missing).after("open_folder")["folder_note"])


@pytest.mark.parametrize("flag", ["hide_ui_dir_config", "share", "listen", "ngrok", "server_name", ""])
def test_from_afar_or_without_a_file_manager_the_path_is_shown_alone(flag: str, build: Callable[..., Panel]) -> None:
    shown = build(opener=lambda _: None, change=_with_flag(flag)) if flag else build()
    assert str(shown.host.models) in words(shown.after("model", "4x Both")["card"])
    ids = [getattr(block, "elem_id", None) for block in shown.host.demo.blocks.values()]
    assert f"{OWN}_open_folder" not in ids


# -- words -------------------------------------------------------------------------------------------------------------


def test_a_damaged_catalogue_does_not_stop_the_page(
    build: Callable[..., Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged() -> Any:
        raise DownloadError("there is no catalogue", "it is damaged", "")

    monkeypatch.setattr(catalogue, "entries", damaged)
    assert "there is no catalogue: it is damaged" in words(build().html("problem"))


def test_words_stand_alone_so_that_they_can_be_translated(shown: Panel) -> None:
    """Every text node is a fixed text of the module, or holds no word of ours."""
    source = inspect.getsource(FakeHost.ours("panels.catalogue"))
    fixed = {*re.findall(r'word\("([^"]+)"\)', source), *re.findall(r"word\('([^']+)'\)", source)}
    fixed |= set(FakeHost.ours("panels.catalogue").WORDS)
    facts = {"Ann, Bob", "CC-BY-4.0", "Compact 4x", "12.3 MB", "2024-02-03", str(shown.host.models)}
    for label in (None, "4x Both", "4x Hand"):
        for node in _Texts(shown.after("model", label)["card"]).nodes:
            rest = [part.strip(" :") for part in node.split("·")]
            assert node in fixed or {part for part in rest if re.search("[a-z]{2}", part)} <= facts, node


def test_its_choices_are_not_kept_as_defaults_of_the_host(shown: Panel) -> None:
    for part in ("for", "of_scale", "model"):
        assert shown.host.component(f"{OWN}_{part}").do_not_save_to_config is True
