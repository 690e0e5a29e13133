"""Pictures of the gallery of txt2img and img2img, upscaled there: what is added, what is saved, and what stays."""

from __future__ import annotations

import gc
import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fake_host.running import FakeHost
from networks import off, picture, true_picture
from types_of_fixtures import Engine, StartHost

TEXT = 'a cat, "quoted"\nNegative prompt: dogs\nSteps: 1, Sampler: Euler, CFG scale: 7, Seed: 12, Size: 30x20'
MINE = {"upscaler_1": "four", "size_by": "Scale by", "scale": 4.0, "precision": "exact"}


class Gallery:
    """Of one tab, with pictures that the host has generated and shows."""

    def __init__(self, host: FakeHost, tab: str, number: int = 3) -> None:
        self.host, self.tab = host, tab
        self.folder = host.output / f"{tab}-images"
        self.folder.mkdir(parents=True)
        self.files = [self.folder / f"0000{one}.png" for one in range(number)]
        for seed, file in enumerate(self.files):
            text = PngImagePlugin.PngInfo()
            text.add_text("parameters", f"{TEXT}, Number: {seed}")
            picture(seed=seed).save(file, pnginfo=text)
        self.texts = [f"{TEXT}, Number: {seed}" for seed in range(number)]
        for file in self.files:
            self.show(file)
        self.note = ""
        self.gallery: Any = None
        self.added: list[int] = []

    def show(self, file: Path) -> None:
        """As the host does before it shows a file."""
        self.host.module("ui_tempdir").register_tmp_file(self.host.demo, str(file))

    def shown(self) -> list[str]:
        """As the page names them: with the time when they were written."""
        return [f"{file}?17.5" for file in self.files]

    def order(self, pictures: Any = (0,), preset: Any = "mine", files: Any = None, info: Any = None) -> Any:
        """What the page gets: the files of the gallery, the texts, where the results are. None where all stays."""
        files = self.shown() if files is None else files
        said = json.dumps({"task": "task(x)", "files": files, "pictures": list(pictures), "preset": preset})
        generation = json.dumps({"infotexts": self.texts, "seed": 12}) if info is None else info
        panel = f"truescale_gallery_{self.tab}"
        changed = self.host.press(f"{panel}_order", said, generation, "")
        self.note = unescape(changed[f"{panel}_note"])
        done = told(changed[f"{panel}_done"])
        assert done["task"] == "task(x)"
        return self.place(generation) if done["results"] else None

    def place(self, generation: str, files: list[str] | None = None) -> Any:
        """What the page then gets, of the results of the last order, where the gallery has these files."""
        panel = f"truescale_gallery_{self.tab}"
        said = json.dumps({"task": "task(x)", "files": self.shown() if files is None else files})
        changed = self.host.press(f"{panel}_place", said, generation)
        self.gallery, self.added = changed[f"{self.tab}_gallery"], told(changed[f"{panel}_added"])["pictures"]
        if isinstance(self.gallery, dict):
            self.note = unescape(changed[f"{panel}_note"])
            return None
        shown = [Path(getattr(one, "already_saved_as", "")) for one in self.gallery]
        info = json.loads(changed[f"generation_info_{self.tab}"])
        return shown, info, self.added


def told(html: str) -> Any:
    """What the server says on a channel."""
    return json.loads(unescape(re.search("='(.*)'>", html)[1]))


@pytest.fixture
def mine(host: FakeHost) -> FakeHost:
    """With a preset of the user's."""
    host.ours("panels.presets").store().save("extras", "mine", MINE)
    return host


@pytest.fixture(params=["txt2img", "img2img"])
def gallery(request: pytest.FixtureRequest, mine: FakeHost) -> Gallery:
    return Gallery(mine, request.param)


@pytest.fixture
def shown(mine: FakeHost) -> Gallery:
    return Gallery(mine, "txt2img")


def _bytes(files: list[Path]) -> list[bytes]:
    return [file.read_bytes() for file in files]


def test_the_chosen_one_is_upscaled_and_comes_after_its_source(gallery: Gallery) -> None:
    before = _bytes(gallery.files)
    shown, info, added = gallery.order([1])

    assert added == [2]
    assert [shown[0], shown[1], shown[3]] == gallery.files
    assert _bytes(gallery.files) == before
    assert shown[2].parent == gallery.folder
    assert shown[2] not in gallery.files
    with Image.open(shown[2]) as result:
        assert off(result, true_picture("four", picture(seed=1))) <= 1
        assert result.text["parameters"] == gallery.texts[1]
        assert "Postprocess upscaler: four" in result.text["postprocessing"]
    assert info["seed"] == 12
    assert [info["infotexts"][one] for one in (0, 1, 3)] == gallery.texts
    assert info["infotexts"][2].startswith(gallery.texts[1] + ", Postprocess upscale by: 4.0")


def test_all_of_them(gallery: Gallery) -> None:
    shown, info, added = gallery.order([2, 0, 1])

    assert added == [1, 3, 5]
    assert shown[::2] == gallery.files
    assert len(set(shown)) == 6
    assert [text.split("Number: ")[1][0] for text in info["infotexts"]] == list("001122")
    for number, file in enumerate(shown[1::2]):
        with Image.open(file) as result:
            assert off(result, true_picture("four", picture(seed=number))) <= 1
    assert "3 / 3" in gallery.note


# -- what the host goes by: its Save, and its buttons that reuse a seed -----------------------------------------------


def _generation(shown: Gallery, grids: int = 0) -> dict[str, Any]:
    """Of the host, with as many grids before the pictures."""
    lists = {"all_seeds": [10, 11, 12], "all_subseeds": [1, 2, 3], "all_prompts": ["a", "b", "c"]}
    texts = [*["grid"] * grids, *shown.texts]
    return {**lists, "infotexts": texts, "index_of_first_image": grids, "styles": ["one", "two", "three"], "seed": 10}


def _of_each(info: dict[str, Any], number: int) -> list[Any]:
    """Seed, second seed and prompt of each picture of a gallery, by the host's rule; "grid" for one that is a grid."""
    first = info["index_of_first_image"]
    lists = info["all_seeds"], info["all_subseeds"], info["all_prompts"]
    return ["grid" if index < first else tuple(one[index - first] for one in lists) for index in range(number)]


A, B, C = (10, 1, "a"), (11, 2, "b"), (12, 3, "c")


def test_the_host_finds_seed_and_prompt_of_each_picture(shown: Gallery) -> None:
    files, info, added = shown.order([0, 2], info=json.dumps(_generation(shown)))

    assert added == [1, 4]
    assert _of_each(info, len(files)) == [A, A, B, C, C]
    assert [len(info[name]) for name in ("all_seeds", "all_subseeds", "all_prompts")] == [5, 5, 5]
    assert (info["styles"], info["seed"]) == (["one", "two", "three"], 10)


def test_and_so_it_does_after_a_second_time(shown: Gallery) -> None:
    _, info, _ = shown.order([1], info=json.dumps(_generation(shown)))
    shown.files.insert(2, Path(shown.gallery[2].already_saved_as))
    shown.show(shown.files[2])
    files, info, added = shown.order([2, 3], info=json.dumps(info))

    assert added == [3, 5]
    assert _of_each(info, len(files)) == [A, B, B, B, C, C]


@pytest.mark.parametrize("is_gone", [False, True])
def test_grids_come_before_the_pictures(is_gone: bool, shown: Gallery) -> None:
    """And what is made of a grid is one; where its file is gone, the gallery begins with a picture."""
    shown.files.insert(0, shown.folder / "grid.png")
    picture().save(shown.files[0])
    shown.show(shown.files[0])
    generation = json.dumps(_generation(shown, grids=1))
    if is_gone:
        shown.files[0].unlink()
    files, info, added = shown.order([1] if is_gone else [0, 1], info=generation)

    assert added == ([1] if is_gone else [1, 3])
    assert _of_each(info, len(files)) == [*(() if is_gone else ("grid", "grid")), A, A, B, C]


def test_a_result_of_an_earlier_run_keeps_its_own(shown: Gallery) -> None:
    said, _, note = _order(shown, [2])
    shown.host.press("truescale_gallery_txt2img_order", said, json.dumps(_generation(shown)), note)
    newer = {
        "all_seeds": [77],
        "all_subseeds": [7],
        "all_prompts": ["n"],
        "index_of_first_image": 0,
        "infotexts": ["n"],
    }
    files, info, added = shown.place(json.dumps(newer), [str(shown.files[0])])

    assert added == [1]
    assert _of_each(info, len(files)) == [(77, 7, "n"), C]


def test_what_the_host_adds_after_the_pictures_has_no_items(shown: Gallery) -> None:
    """Such as what ControlNet has seen."""
    generation = {**_generation(shown), "all_seeds": [10], "all_subseeds": [1], "all_prompts": ["a"]}
    files, info, added = shown.order([1], info=json.dumps(generation))

    assert added == [2]
    assert _of_each(info, len(files)) == [A, A, A, A]


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_offers_the_presets_of_now(mine: FakeHost) -> None:
    for tab in ("txt2img", "img2img"):
        panel = f"truescale_gallery_{tab}"
        html = mine.press(f"{panel}_presets_ask")[f"{panel}_presets"]
        names = told(html)
        assert names[:2] == ["Photo", "Illustration"]
        assert names[-1] == "mine"


def test_the_same_again_replaces_nothing(shown: Gallery) -> None:
    """With a pattern of names that gives the same one each time."""
    shown.host.opts.data["save_images_replace_action"] = "Replace"
    plain, images = shown.host.module("images").save_image, shown.host.module("images")
    images.save_image = lambda *args, **named: plain(*args, **{**named, "forced_filename": "same"})
    files = [shown.order([0])[0][1] for _ in range(3)]

    assert [file.name for file in files] == ["same.png", "same-2.png", "same-3.png"]
    assert all(file.is_file() for file in files)


def test_a_run_that_ended_meanwhile_stays_in_the_gallery(shown: Gallery) -> None:
    """While pictures are upscaled, or wait for their turn, another run may end."""
    shown.order([0, 2])
    shown.host.press("truescale_gallery_txt2img_order", *_order(shown, [0, 2]))
    newer = shown.files[1:2] + shown.files[2:]  # the first one is not shown any more
    files, info, added = shown.place(json.dumps({"infotexts": ["new", "newer"]}), list(map(str, newer)))

    assert files[:2] == newer
    assert added == [2, 3]
    assert info["infotexts"][:2] == ["new", "newer"]
    assert "Number: 2" in info["infotexts"][2]
    assert "Number: 0" in info["infotexts"][3]


def _order(gallery: Gallery, pictures: list[int], **more: Any) -> tuple[str, str, str]:
    """With the words of the order before."""
    order = {"task": "task(x)", "files": gallery.shown(), "pictures": pictures, "preset": "mine", **more}
    return json.dumps(order), json.dumps({"infotexts": gallery.texts}), "<p>the one before failed</p>"


@pytest.mark.parametrize("waited", [True, False])
def test_one_that_waited_keeps_the_words_of_the_one_before(waited: bool, shown: Gallery) -> None:
    changed = shown.host.press("truescale_gallery_txt2img_order", *_order(shown, [0], waited=waited))
    note = changed["truescale_gallery_txt2img_note"]

    assert ("the one before failed" in note) == waited
    assert "1 / 1" in note


def test_names_are_read_as_they_stand_in_an_address(shown: Gallery) -> None:
    for number, name in enumerate(["50% off ü.png", "100%25.png", "a b.png"]):
        shown.files[number] = shown.files[number].rename(shown.folder / name)
        shown.show(shown.files[number])
    for files in (shown.shown(), [quote(name, "/?") for name in shown.shown()]):
        shown.host.press("truescale_gallery_txt2img_order", *_order(shown, [1]))
        assert shown.place("", files)[0][:2] == shown.files[:2]


def test_results_are_placed_once(shown: Gallery) -> None:
    shown.order([0])
    files, _, added = shown.place("")
    assert (files, added) == (shown.files, [])


def _in_memory(size: tuple[int, int]) -> int:
    """How many pictures of a size are kept there."""
    gc.collect()
    return sum(isinstance(one, Image.Image) and one.size == size for one in gc.get_objects())


@pytest.mark.parametrize("saves", [True, False])
def test_results_that_no_page_asks_for_do_not_stay_in_memory(
    saves: bool, shown: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of pages that were closed meanwhile. Where the host saves none, those of the last orders are kept."""
    monkeypatch.setattr(shown.host.ours("places.gallery.panel"), "_MOST_HELD", 7 * 120 * 80 * 3)
    shown.host.opts.data["samples_save"] = saves
    others = _in_memory((120, 80))
    for number in range(4):
        said = json.dumps({"task": f"task({number})", "files": shown.shown(), "pictures": [0, 1, 2], "preset": "mine"})
        shown.host.press("truescale_gallery_txt2img_order", said, "", "")

    shown.host.state.current_image = None  # the preview, which is the host's
    assert _in_memory((120, 80)) - others <= (0 if saves else 6)
    place = json.dumps({"task": "task(3)", "files": shown.shown()})
    changed = shown.host.press("truescale_gallery_txt2img_place", place, "")
    assert [one.size for one in changed["txt2img_gallery"]] == [(30, 20), (120, 80)] * 3


def test_a_result_whose_file_was_deleted_meanwhile_is_left_out(shown: Gallery) -> None:
    shown.host.press("truescale_gallery_txt2img_order", *_order(shown, [0, 1]))
    (first, _) = sorted(set(shown.host.saved()) - set(shown.files))
    first.unlink()
    files, _, added = shown.place(json.dumps({"infotexts": shown.texts}))

    assert added == [2]
    assert [files[0], files[1], files[3]] == shown.files


def test_among_files_that_were_never_shown_nothing_is_placed(shown: Gallery) -> None:
    shown.host.press("truescale_gallery_txt2img_order", *_order(shown, [0]))
    assert shown.place("", ["/etc/passwd"]) is None
    assert "has not shown" in shown.note
    assert shown.added == []


def test_a_failure_costs_no_other_picture(shown: Gallery) -> None:
    shown.files[1].write_bytes(b"no picture")
    files, info, added = shown.order([0, 1, 2])

    assert added == [1, 4]
    assert [files[0], files[2], files[3]] == shown.files
    assert len(info["infotexts"]) == 5
    assert "00001.png: " in shown.note
    assert "2 / 3" in shown.note


def test_one_whose_file_is_gone_is_told(shown: Gallery) -> None:
    shown.files[0].unlink()
    files, info, added = shown.order([0, 2])

    assert files[:2] == shown.files[1:]
    assert added == [2]
    assert [text.split("Number: ")[1][0] for text in info["infotexts"]] == list("122")
    assert "file is gone" in shown.note


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pictures": []}, "no picture is chosen"),
        ({"pictures": [3]}, "the gallery has changed"),
        ({"pictures": [-1]}, "the gallery has changed"),
        ({"pictures": ["0"]}, "no picture is chosen"),
        ({"preset": "gone"}, "no such preset"),
        ({"preset": 7}, "no such preset"),
        ({"files": []}, "the gallery has no picture"),
        ({"files": "/etc/passwd"}, "the gallery has no picture"),
    ],
)
def test_what_cannot_be_is_told_there(given: dict[str, Any], words: str, shown: Gallery) -> None:
    assert shown.order(**given) is None
    assert words in shown.note
    assert shown.host.saved() == shown.files


def test_a_page_names_no_other_file_of_this_computer(shown: Gallery, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    picture().save(secret)
    for name in (secret, f"{shown.folder}/../../../secret.png", "/etc/passwd"):
        files = [*shown.shown(), str(name)]
        for chosen in (0, 3):
            assert shown.order([chosen], files=files) is None
            assert "has not shown" in shown.note
    assert shown.host.saved() == shown.files


def test_every_bit_of_the_file_is_used(shown: Gallery) -> None:
    levels = np.random.default_rng(1).integers(0, 65536, (20, 30), np.uint16)
    Image.fromarray(levels).save(shown.files[0])
    files, _, _ = shown.order([0])

    with Image.open(files[1]) as result:
        assert result.mode.startswith("I")
        assert len(np.unique(np.asarray(result))) > 256


def test_what_is_said_of_all_sources_is_said_once(shown: Gallery) -> None:
    for file in shown.files:
        picture().convert("CMYK").save(file.with_suffix(".jpg"))
        file.unlink()
    shown.files = [file.with_suffix(".jpg") for file in shown.files]
    for file in shown.files:
        shown.show(file)
    shown.order([0, 1, 2])

    assert len([words for words in shown.host.warnings if "CMYK" in words]) == 1


def test_transparency_stays(shown: Gallery) -> None:
    picture(mode="RGBA").save(shown.files[0])
    files, _, _ = shown.order([0])

    with Image.open(files[1]) as result:
        assert result.mode == "RGBA"
        assert result.getchannel("A").getextrema()[0] < 10


def test_interrupt_keeps_what_is_done(shown: Gallery, engine: Engine) -> None:
    def before(_: Any) -> None:
        if len(engine.pictures) == 2:
            shown.host.state.interrupt()

    engine.before = before
    files, _, added = shown.order([0, 1, 2])

    assert added == [1]
    assert len(files) == 4
    assert "1 / 3" in shown.note
    assert "stopped" in shown.note
    assert len(shown.host.saved()) == 4


def test_skip_leaves_one_out(shown: Gallery, engine: Engine) -> None:
    def before(_: Any) -> None:
        if len(engine.pictures) == 2:
            shown.host.state.skip()

    engine.before = before
    assert shown.order([0, 1, 2])[2] == [1, 4]


def test_stopping_after_the_picture_under_way(shown: Gallery, engine: Engine) -> None:
    engine.before = lambda _: shown.host.state.stop_generating()
    assert shown.order([0, 1, 2])[2] == [1]
    assert "stopped" in shown.note


def test_progress_goes_through_the_pictures(shown: Gallery, engine: Engine) -> None:
    seen: list[tuple[int, int]] = []
    state = shown.host.state
    engine.before = lambda _: seen.append((state.job_no, state.job_count))
    shown.order([0, 1, 2])

    assert seen == [(0, 3), (1, 3), (2, 3)]


def test_where_the_host_saves_no_pictures_none_is_saved(shown: Gallery) -> None:
    shown.host.opts.data["samples_save"] = False
    shown.order([0])
    result = shown.gallery[1]

    assert shown.host.saved() == shown.files
    assert not hasattr(result, "already_saved_as")
    assert off(result, true_picture("four", picture(seed=0))) <= 1
    assert result.info["parameters"] == shown.texts[0]


def test_in_formats_of_one_text_that_says_both(shown: Gallery) -> None:
    shown.host.opts.data["samples_format"] = "jpg"
    told: list[str] = []
    images = shown.host.module("images")
    plain = images.save_image_with_geninfo
    images.save_image_with_geninfo = lambda image, text, *more: (told.append(text), plain(image, text, *more))[1]
    files, _, _ = shown.order([0])

    assert files[1].suffix == ".jpg"
    assert told[0].startswith(shown.texts[0] + ", Postprocess upscale by: 4.0, Postprocess upscaler: four")


@pytest.mark.parametrize("info", ["", "{", "[]", '{"infotexts": 3}'])
def test_without_the_hosts_texts_the_file_says_its_own(info: str, shown: Gallery) -> None:
    files, known, _ = shown.order([1], info=info)

    with Image.open(files[2]) as result:
        assert result.text["parameters"] == shown.texts[1]
    assert known["infotexts"][2].startswith(shown.texts[1])


def test_a_preset_whose_model_is_gone_says_so(shown: Gallery) -> None:
    shown.host.ours("panels.presets").store().save("extras", "old", {**MINE, "upscaler_1": "never was"})
    files, _, _ = shown.order([0], preset="old")

    assert "never was" in shown.note
    with Image.open(files[1]) as result:
        assert "Postprocess upscaler: TrueScale 4x" in result.text["postprocessing"]


def test_it_is_ready_after_a_reload(mine: FakeHost) -> None:
    mine.reload()
    files, _, _ = Gallery(mine, "img2img").order([0])
    assert len(files) == 4


def test_a_host_that_shows_no_such_place_goes_on(start_host: StartHost) -> None:
    def without(host: FakeHost) -> None:
        host.module("ui_common").create_output_panel = lambda tab: None

    host = start_host(change=without)
    assert host.reported == []
