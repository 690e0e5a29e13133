"""The fake host has the shape of a real one, and what we call exists in every recorded one, or can be missed."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import gradio
import pytest
from PIL import Image

from fake_host.older import as_1_6_0, with_plain_infotext
from fake_host.running import FakeHost
from host_facts.record import facts_of
from networks import off, picture, true_picture
from small_networks import compact, save_pth
from types_of_fixtures import StartHost

HERE = Path(__file__).resolve().parent
WEBUI = HERE.parents[1] / "lib_upscaler" / "webui"
FACTS = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((HERE / "host_facts").glob("*.json"))
}
ALIKE = "a1111-1.10.1"
"""The host that the fake one is like."""

EACH_HOST = pytest.mark.parametrize("name", FACTS)


def test_all_hosts_are_recorded() -> None:
    assert set(FACTS) == {
        "a1111-1.6.0", "a1111-1.7.0", "a1111-1.8.0", "a1111-1.9.4", "a1111-1.10.1", "forge", "forge-classic", "neo",
        "reforge",
    }  # fmt: skip


# -- the fake host -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fake() -> dict[str, Any]:
    return facts_of(HERE / "fake_host", "fake")


@pytest.mark.parametrize(
    "kind", ["signatures", "names", "attributes", "locals", "asked", "state_flags", "elem_ids", "flags", "options"]
)
def test_the_fake_host_is_like_the_real_one(kind: str, fake: dict[str, Any]) -> None:
    real = FACTS[ALIKE][kind]

    assert {name: fact for name, fact in fake[kind].items() if fact != real[name]} == {}
    assert set(fake[kind]) == set(real)
    if kind == "options":
        assert all(real.values())


def test_the_fake_hosts_infotext_takes_lists_as_the_real_ones_does(fake: dict[str, Any]) -> None:
    assert fake["infotext_lists"] is FACTS[ALIKE]["infotext_lists"] is True
    assert {name for name, facts in FACTS.items() if not facts["infotext_lists"]} == {
        "a1111-1.6.0", "a1111-1.7.0", "a1111-1.8.0",
    }  # fmt: skip


def test_the_fake_host_has_only_upscalers_that_the_real_one_has(fake: dict[str, Any]) -> None:
    assert set(fake["upscaler_classes"]) <= set(FACTS[ALIKE]["upscaler_classes"])
    assert "UpscalerESRGAN" in fake["upscaler_classes"]


def test_gradio_is_the_real_hosts() -> None:
    assert gradio.__version__ == FACTS[ALIKE]["pins"]["gradio"]


def test_the_recorder_sees_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "upscaler.py").write_text(
        "from modules.other import UpscalerData\n"
        "class Upscaler:\n    def upscale(self, img, *, scale=2): self.scale = 1\n"
    )
    (tmp_path / "modules" / "other.py").write_text("class UpscalerData:\n    def __init__(self, name, **rest): pass\n")
    (tmp_path / "modules" / "broken.py").write_text("def (:\n")
    facts = facts_of(tmp_path, "none")

    assert facts["signatures"]["modules.upscaler.Upscaler.upscale"] == [
        ["self", "positional", False], ["img", "positional", False], ["scale", "keyword", True],
    ]  # fmt: skip
    assert facts["signatures"]["modules.upscaler.UpscalerData.__init__"][-1] == ["rest", "**", False]
    assert facts["signatures"]["modules.upscaler.Upscaler.do_upscale"] is None
    assert facts["attributes"]["modules.upscaler.Upscaler"]["scale"] is True
    assert facts["attributes"]["modules.upscaler.Upscaler"]["name"] is None
    assert facts["names"]["modules.shared.opts"] is None
    assert facts["pins"]["gradio"] is None


# -- our calls ---------------------------------------------------------------------------------------------------------


def _calls_of_ours(
    host: FakeHost, names: list[str], patch: pytest.MonkeyPatch
) -> list[tuple[str, tuple[Any, ...], dict]]:
    """Notes each call that a file of ours makes to one of the functions, with its arguments."""
    calls: list[tuple[str, tuple[Any, ...], dict]] = []

    def watch(name: str, owner: Any, attribute: str) -> None:
        plain = getattr(owner, attribute)

        @functools.wraps(plain)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if WEBUI in Path(sys._getframe(1).f_code.co_filename).parents:
                calls.append((name, args, kwargs))
            return plain(*args, **kwargs)

        patch.setattr(owner, attribute, watched)

    for name in names:
        module, *rest, attribute = name.split(".")[1:]
        owner = functools.reduce(getattr, rest, host.module(module))
        watch(name, owner, attribute)
    return calls


OURS_TO_CALL = [
    name
    for name, fact in FACTS[ALIKE]["signatures"].items()
    if isinstance(fact, list) and name.startswith("modules.") and "ScriptPostprocessing" not in name
    and ".Script." not in name and "run_" not in name and "process_images" not in name
]  # fmt: skip


def _signature(parameters: list[list[Any]]) -> inspect.Signature:
    kinds = {
        "positional": inspect.Parameter.POSITIONAL_OR_KEYWORD,
        "keyword": inspect.Parameter.KEYWORD_ONLY,
        "*": inspect.Parameter.VAR_POSITIONAL,
        "**": inspect.Parameter.VAR_KEYWORD,
    }
    empty = inspect.Parameter.empty
    made = [inspect.Parameter(n, kinds[k], default=None if has_default else empty) for n, k, has_default in parameters]
    return inspect.Signature(made)


MAY_BE_MISSED = {
    "modules.devices.without_autocast",
    "modules.devices.torch_gc",
    "modules.devices.get_optimal_device",
    "modules.ui_components.InputAccordion.__init__",
    "modules.ui_components.ToolButton.__init__",
    "modules.util.open_folder",
}
"""Functions for whose absence there is a test below."""


def test_every_call_that_we_make_fits_every_host(start_host: StartHost, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, tuple[Any, ...], dict]] = []
    host = start_host(change=lambda host: calls.append(_calls_of_ours(host, OURS_TO_CALL, monkeypatch)))  # type: ignore[arg-type]
    _use(host)
    made = calls[0]

    called = {name for name, _, _ in made}
    assert {"modules.options.OptionInfo.__init__", "modules.modelloader.load_file_from_url"} <= called
    assert {"modules.script_callbacks.on_before_ui", "modules.shared_state.State.begin"} <= called
    for host_name, facts in FACTS.items():
        for name, args, kwargs in made:
            parameters = facts["signatures"][name]
            if parameters is None:
                assert name in MAY_BE_MISSED, (host_name, name)
            elif isinstance(parameters, list):
                is_function = name.endswith(".__init__") and parameters[0][0] != "self"  # in place of a class
                try:
                    _signature(parameters).bind(*args[1 if is_function else 0 :], **kwargs)
                except TypeError as error:
                    pytest.fail(f"{host_name}: {name} cannot be called with {len(args)} and {set(kwargs)}: {error}")


def _use(host: FakeHost) -> None:
    """What a user does in a session."""
    host.extras(picture(), ours={"enabled": True, "upscaler_1": "four"})
    host.extras(picture(), upscale={"upscaler_1_name": "R-ESRGAN 4x+"})  # it would have to be fetched
    host.txt2img(enable_hr=True, hr_upscaler="four", hires={"enabled": True, "upscaler_2": "two"})
    host.press("truescale_extras_refresh")
    host.client().post("/truescale/v1/upscale", json={"image": ""})
    host.reload()


@EACH_HOST
def test_the_host_has_what_the_takeover_and_the_panels_stand_on(name: str) -> None:
    facts = FACTS[name]

    for symbol in (
        "modules.modelloader.load_upscalers",
        "modules.upscaler.UpscalerData.__init__",
        "modules.processing.process_images",
        "modules.processing.StableDiffusionProcessingTxt2Img.sample_hr_pass",
        "modules.scripts.Script.before_hr",
        "modules.scripts_postprocessing.ScriptPostprocessing.process",
    ):
        assert facts["signatures"][symbol] is not None, symbol
    for symbol in (
        "modules.shared.sd_upscalers",
        "modules.shared.opts",
        "modules.shared.state",
        "modules.shared.cmd_opts",
    ):
        assert facts["names"][symbol], symbol
    assert "UpscalerESRGAN" in facts["upscaler_classes"]
    assert facts["elem_ids"]["txt2img_hr_upscaler"]
    assert facts["flags"]["esrgan-models-path"]
    entry = facts["attributes"]["modules.upscaler.UpscalerData"]
    assert {each for each, there in entry.items() if not there} <= {"local_data_path"}  # Neo, and the test below
    assert all(facts["attributes"]["modules.script_callbacks.ImageSaveParams"].values())


@EACH_HOST
def test_the_variables_by_which_we_know_a_caller_are_there(name: str) -> None:
    found = FACTS[name]["locals"]
    extras, hires, whole_job, preview, steps = (
        next(variables for key, variables in found.items() if key.endswith(end))
        for end in ("run_postprocessing", "sample_hr_pass", "images_inner", "sample_to_image", "Runner.run")
    )

    assert all((hires["self"], hires["i"], whole_job["p"], preview["approximation"]))
    if name == "a1111-1.6.0":  # it has none of them: the tests of an older host below
        assert not extras["data_to_process"]
        assert not steps["scripts"]
        assert FACTS[name]["state_flags"]["modules.postprocessing.run_postprocessing"] == []
    else:
        assert all(extras.values())
        assert all(steps.values())
        assert "skipped" in FACTS[name]["state_flags"]["modules.postprocessing.run_postprocessing"]


@EACH_HOST
def test_every_class_whose_networks_we_run_is_one_of_a_host(name: str) -> None:
    """A name that no host has would be a mistake; one that every host lists must be ours or known as not ours."""
    from lib_upscaler.webui.takeover.registry import _HOST_CLASSES

    anywhere = {each for facts in FACTS.values() for each in facts["upscaler_classes"]}
    assert set(_HOST_CLASSES) <= anywhere
    not_ours = {"UpscalerLanczos", "UpscalerLDSR", "UpscalerNearest", "UpscalerNone"}
    assert set(FACTS[name]["upscaler_classes"]) - not_ours <= set(_HOST_CLASSES)


FORGE_FAMILY = {
    "forge": ("backend.patcher.base.ModelPatcher", "backend.patcher.unet.UnetPatcher"),
    "neo": ("backend.patcher.base.ModelPatcher", "backend.patcher.unet.UnetPatcher"),
    "forge-classic": ("ldm_patched.modules.model_patcher.ModelPatcher", "modules_forge.unet_patcher.UnetPatcher"),
    "reforge": ("ldm_patched.modules.model_patcher.ModelPatcher", "modules_forge.unet_patcher.UnetPatcher"),
}
"""Where each has its patcher, and that of its network."""


@EACH_HOST
def test_the_host_has_what_sampling_in_tiles_stands_on(name: str) -> None:
    signatures, names, attributes = (FACTS[name][kind] for kind in ("signatures", "names", "attributes"))

    for function in ("rng.ImageRNG.__init__", "rng.ImageRNG.next", "processing.decode_latent_batch"):
        assert signatures[f"modules.{function}"], function
    assert signatures["modules.processing.DecodedSamples"] == "class"
    assert names["modules.sd_models.model_data"]
    assert attributes["modules.sd_models.SdModelData"]["sd_model"]
    assert all(attributes["modules.sd_samplers_common.Sampler"].values())
    assert signatures["modules.sd_samplers_cfg_denoiser.CFGDenoiser.update_inner_model"]
    assert names["modules.devices.dtype_unet"]


@pytest.mark.parametrize("name", sorted(set(FACTS) - set(FORGE_FAMILY)))
def test_automatic1111_tells_its_noise_levels_and_its_attention(name: str) -> None:
    from lib_upscaler.webui.sampling.checkpoint import _EFFICIENT

    facts = FACTS[name]
    for kind in ("CompVisTimestepsDenoiser", "CompVisTimestepsVDenoiser"):
        assert facts["attributes"][f"modules.sd_samplers_timesteps.{kind}"]["inner_model"]
        parameters = facts["signatures"][f"modules.sd_samplers_timesteps.{kind}.forward"]
        assert [each[0] for each in parameters[:3]] == ["self", "input", "timesteps"]
    assert facts["names"]["modules.sd_hijack.model_hijack"]
    assert facts["attributes"]["modules.sd_hijack.StableDiffusionModelHijack"]["optimization_method"]
    assert set(_EFFICIENT) <= set(facts["attention"])


@pytest.mark.parametrize("name", FORGE_FAMILY)
def test_the_forge_family_has_the_patcher_that_tiles_stand_on(name: str) -> None:
    facts = FACTS[name]
    patcher, of_network = FORGE_FAMILY[name]
    for each in (patcher, of_network):
        assert facts["signatures"][f"{each}.clone"] == [["self", "positional", False]]
    assert all(facts["attributes"][patcher].values())
    assert facts["attributes"][of_network]["controlnet_linked_list"]
    objects = [facts["attributes"][each] for each in facts["attributes"] if ".Forge" in each]
    assert any(all(each.values()) for each in objects)

    asked = [each for each, words in facts["asked"].items() if any(words.values())]
    (prepare,) = (facts["asked"][each] for each in asked if each.endswith("sampling_prepare"))
    assert prepare["memory_required"]
    assert bool(prepare["memory_peak_estimation_modifier"]) is (name != "neo")
    assert any(facts["asked"][each].get("model_function_wrapper") for each in asked)


@pytest.mark.parametrize("name", FORGE_FAMILY)
def test_the_forge_family_tells_rectified_flow_by_a_predictor_or_a_class(name: str) -> None:
    facts = FACTS[name]
    predictor = facts["attributes"]["backend.modules.k_model.KModel"]["predictor"]
    if predictor:
        assert facts["attributes"]["backend.modules.k_prediction.AbstractPrediction"]["prediction_type"]
        assert facts["attributes"]["backend.modules.k_model.KModel"]["computation_dtype"]
    else:
        assert facts["attributes"]["ldm_patched.modules.model_base.BaseModel"]["model_sampling"]
        flows = bool(facts["names"]["ldm_patched.modules.model_sampling.CONST"])
        assert flows is (name == "reforge")  # Classic has none


# -- hosts that lack something -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        ["devices.device_esrgan"],
        ["devices.device_esrgan", "devices.get_optimal_device"],
        ["devices.device_esrgan", "devices.get_optimal_device", "devices.device"],
        ["devices.without_autocast"],
        ["devices.patch_module_list"],
        ["ui_common.refresh_symbol"],
        ["shared_state.State.stopping_generation"],
    ],
    ids=", ".join,
)
def test_a_host_without(names: list[str], start_host: StartHost) -> None:
    def change(host: FakeHost) -> None:
        host.module("ui")  # what the host itself needs of them it has taken by now
        for name in names:
            module, *rest, attribute = name.split(".")
            owner = functools.reduce(getattr, rest, host.module(module))
            delattr(owner, attribute)

    host = start_host(change=change, truescale_precision="exact")

    assert host.reported == []
    result = host.extras(picture(), ours={"enabled": True, "upscaler_1": "four"})
    assert off(result.pictures[0], true_picture("four", picture())) <= 1
    host.press("truescale_extras_refresh")


def test_a_host_whose_entries_know_no_local_path(start_host: StartHost) -> None:
    """Neo, which lists nothing that is still to be fetched."""

    def change(host: FakeHost) -> None:
        entry = host.module("upscaler").UpscalerData
        plain = entry.__init__

        def __init__(self: Any, name: str, path: str | None, *rest: Any, **more: Any) -> None:  # noqa: N807
            plain(self, name, path, *rest, **more)
            if not str(path).startswith("http"):
                del self.local_data_path

        entry.__init__ = __init__

    host = start_host(change=change, truescale_precision="exact")
    result = host.extras(picture(), upscale={"upscaler_1_name": "four", "upscale_by": 4.0})

    assert off(result.pictures[0], true_picture("four", picture())) <= 1
    assert host.host_ran == []


def test_a_host_without_a_downloader(start_host: StartHost) -> None:
    host = start_host()
    del host.module("modelloader").load_file_from_url

    error = host.extras(picture(), upscale={"upscaler_1_name": "R-ESRGAN 4x+", "upscale_by": 2.0}).error
    assert "cannot fetch it" in error


def test_a_host_without_a_queue(start_host: StartHost) -> None:
    host = start_host()
    client = host.client()
    del host.module("call_queue").queue_lock

    answer = client.post("/truescale/v1/upscale", json={"image": "", "upscaler_1": "four"})
    assert answer.status_code == 422
    assert "picture" in answer.json()["detail"]


def test_a_host_whose_list_is_made_elsewhere(start_host: StartHost) -> None:
    """No ``load_upscalers`` to wrap: the panels still work, the host's list stays as it is."""

    def change(host: FakeHost) -> None:
        loader = host.module("modelloader")
        loader.build = loader.load_upscalers
        del loader.load_upscalers

    def load(host: FakeHost) -> None:
        host.module("scripts").load_scripts()
        host.module("modelloader").build()

    host = start_host(change=lambda host: (change(host), setattr(host, "_load", lambda: load(host))))  # type: ignore[arg-type]

    assert host.reported == []
    assert host.extras(picture(), ours={"enabled": True, "upscaler_1": "four"}).pictures[0].size == (120, 80)


def test_a_host_that_keeps_its_model_on_the_device_is_asked_for_room(start_host: StartHost, tmp_path: Path) -> None:
    """Forge: its ``prepare_free_memory`` before the network runs."""
    package = tmp_path / "path" / "modules_forge"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "utils.py").write_text("asked = []\ndef prepare_free_memory(): asked.append(1)\n")
    host = start_host()
    sys.path.insert(0, str(tmp_path / "path"))
    try:
        host.extras(picture(), ours={"enabled": True, "upscaler_1": "four"})
        assert importlib.import_module("modules_forge.utils").asked == [1]
    finally:
        sys.path.remove(str(tmp_path / "path"))
        for name in ("modules_forge", "modules_forge.utils"):
            sys.modules.pop(name, None)


@pytest.mark.parametrize("change", [with_plain_infotext, as_1_6_0], ids=["1.8", "1.6"])
def test_the_note_of_a_failed_hires_fix_is_words_in_older_infotexts(change: Any, start_host: StartHost) -> None:
    host = start_host(change=change)
    (host.models / "four.pth").write_bytes(b"nonsense")
    result = host.txt2img(enable_hr=True, hr_upscaler="four", n_iter=2)

    for text in result.infotexts:
        assert "TrueScale: Lanczos instead of four (failed)" in text
        assert "[" not in text


# -- A1111 1.6.0 -------------------------------------------------------------------------------------------------------


WAYS = pytest.mark.parametrize(
    "way",
    [
        {"ours": {"enabled": True, "upscaler_1": "four", "scale": 2.0}},
        {"upscale": {"upscaler_1_name": "four", "upscale_by": 2.0}},
    ],
    ids=["panel", "accordion"],
)


@pytest.fixture
def older(start_host: StartHost) -> FakeHost:
    host = start_host(change=as_1_6_0, truescale_precision="exact")
    assert host.reported == []
    return host


def test_an_older_host_has_our_settings(older: FakeHost) -> None:
    assert older.opts.data_labels["truescale_precision"].section == ("upscaling", "Upscaling")


@WAYS
def test_an_older_host_enlarges_pictures(way: dict[str, Any], older: FakeHost, tmp_path: Path) -> None:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.png")
        picture(30 + number, 20, seed=number).save(paths[-1])
    result = older.extras(batch=paths, **way)

    assert result.error == ""
    assert len(result.saved) == 3
    for number, image in enumerate(result.pictures):
        source = picture(30 + number, 20, seed=number)
        assert off(image, true_picture("four", source, (60 + 2 * number, 40))) <= 1


@WAYS
@pytest.mark.parametrize("button", [None, "interrupt", "skip"])
def test_an_older_host_saves_no_picture_that_failed(
    button: str | None, way: dict[str, Any], older: FakeHost, engine: Any, tmp_path: Path
) -> None:
    """It looks at neither Interrupt nor Skip and saves whatever comes back: only an error keeps it from that."""

    def fail(image: Image.Image) -> None:
        if len(engine.pictures) == 2:
            if button is None:
                raise RuntimeError("cuDNN error")
            getattr(older.state, button)()

    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.png")
        picture(30 + number, 20, seed=number).save(paths[-1])
    engine.before = fail
    result = older.extras(batch=paths, **way)

    assert len(result.saved) == 1
    assert result.error


def _statement(host: FakeHost) -> str:
    html = host.press("truescale_extras_statement_show")["truescale_extras_statement"]
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@WAYS
def test_an_older_host_tells_of_the_last_run_alone(way: dict[str, Any], older: FakeHost, tmp_path: Path) -> None:
    """It has no first pass, in which newer ones tell us that a run begins."""
    older.extras(picture(30, 20), **way)
    older.extras(picture(32, 20), **way)
    assert _statement(older).count("px") == 1
    assert "32x20 → 64x40 px" in _statement(older)

    paths = [tmp_path / f"{name}.png" for name in ("a", "b")]
    for number, path in enumerate(paths):
        picture(40 + 2 * number, 20).save(path)
    older.extras(batch=paths, **way)
    told = _statement(older)
    assert told.count("px") == 2
    assert re.search("a(.png)? four · 40x20 → 80x40 px.* b(.png)? four · 42x20 → 84x40 px", told)

    older.extras(picture(30, 20))
    assert _statement(older) == ""


@WAYS
def test_an_older_host_gives_no_picture_of_a_model_that_was_replaced(way: dict[str, Any], older: FakeHost) -> None:
    source, size, other = picture(), (60, 40), compact(scale=4, features=4, layers=1, seed=9)
    first = older.extras(source, **way).pictures[0]
    save_pth(other, older.models / "four.pth")
    os.utime(older.models / "four.pth", ns=(1, 1))
    second = older.extras(source, **way).pictures[0]

    assert off(first, true_picture("four", source, size)) <= 1
    assert off(second, true_picture(other, source, size)) <= 1
    assert off(first, true_picture(other, source, size)) > 1
