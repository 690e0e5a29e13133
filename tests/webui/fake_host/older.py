"""Makes the fake host behave as A1111 1.6.0 where that differs: nothing in its Extras looks at Skip or Interrupt."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import gradio

from .running import FakeHost

__all__ = ["as_1_6_0", "with_plain_infotext", "without_switch_for_upscaling"]


def with_plain_infotext(host: FakeHost) -> None:
    """Before 1.9 a value of the infotext is the same for all pictures of a job: a list would be written as it is."""
    processing = host.module("processing")

    def create_infotext(p: Any, *_: Any, **values: Any) -> str:
        told = {"Steps": p.steps, "Size": f"{p.width}x{p.height}", **p.extra_generation_params}
        quote = host.module("infotext_utils").quote
        return ", ".join(f"{key}: {quote(value)}" for key, value in told.items() if value is not None)

    processing.create_infotext = create_infotext


def without_switch_for_upscaling(host: FakeHost) -> None:
    """Before 1.9 the step "Upscale" of the Extras is always on. After the host is started, before its page is shown."""
    steps = host.module("scripts").postprocessing_scripts_data
    next(one for one in steps if one.script_class.name == "Upscale").module.InputAccordion = _always_on


@contextlib.contextmanager
def _always_on(*_: Any, **__: Any) -> Iterator[Any]:
    with gradio.Column():
        yield gradio.Checkbox(True, visible=False)


def as_1_6_0(host: FakeHost) -> None:
    """Before the host is started."""
    with_plain_infotext(host)
    options, devices, state = host.module("options"), host.module("devices"), host.module("shared_state").State
    plain = options.OptionInfo.__init__

    def __init__(  # noqa: N807 - it is put into the class
        self: Any, default=None, label="", component=None, component_args=None, onchange=None, section=None,
        refresh=None, comment_before="", comment_after="", infotext=None, restrict_api=False,
    ) -> None:  # fmt: skip
        plain(self, default, label, component, component_args, onchange, section, refresh, comment_before,
              comment_after, infotext, restrict_api)  # fmt: skip

    options.OptionInfo.__init__ = __init__
    del host.module("util").open_folder
    del devices.patch_module_list
    del state.stopping_generation
    steps = host.module("scripts_postprocessing")
    del steps.ScriptPostprocessing.process_firstpass
    steps.ScriptPostprocessingRunner.run = _run_steps
    plain_image = steps.PostprocessedImage.__init__

    def image_only(self: Any, image: Any) -> None:
        plain_image(self, image)
        for name in ("shared", "extra_images", "nametags", "disable_processing", "caption"):
            delattr(self, name)

    steps.PostprocessedImage.__init__ = image_only
    host.module("postprocessing").run_postprocessing = run_postprocessing


def _run_steps(self: Any, pp: Any, args: Any) -> None:
    from modules import shared

    for script in self.scripts_in_preferred_order():
        shared.state.job = script.name
        script_args = args[script.args_from : script.args_to]
        process_args = dict(zip(script.controls, script_args))
        script.process(pp, **process_args)


def run_postprocessing(
    extras_mode, image, image_folder, input_dir, output_dir, show_extras_results, *args, save_output: bool = True
):
    from modules import images, infotext_utils, scripts, scripts_postprocessing, shared, ui_common
    from PIL import Image

    shared.state.begin(job="extras")
    outputs = []

    def get_images():
        if extras_mode == 0:
            yield image, None
        elif extras_mode == 1:
            for img in image_folder:
                yield Image.open(os.path.abspath(img.name)), os.path.splitext(img.orig_name)[0]
        else:
            for filename in shared.listfiles(input_dir):
                try:
                    opened = Image.open(filename)
                except Exception:  # noqa: BLE001 - as the host does
                    continue
                yield opened, filename

    outpath = output_dir or shared.opts.outdir_extras_samples
    infotext = ""
    for image_data, name in get_images():
        shared.state.textinfo = name
        _, existing_pnginfo = images.read_info_from_image(image_data)
        pp = scripts_postprocessing.PostprocessedImage(image_data.convert("RGB"))
        scripts.scripts_postproc.run(pp, args)
        basename = os.path.splitext(os.path.basename(name))[0] if name is not None else ""
        told = [k if k == v else f"{k}: {infotext_utils.quote(v)}" for k, v in pp.info.items() if v is not None]
        infotext = ", ".join(told)
        pp.image.info = existing_pnginfo
        pp.image.info["postprocessing"] = infotext
        if save_output:
            told = {"info": infotext, "pnginfo_section_name": "extras", "existing_info": existing_pnginfo}
            images.save_image(pp.image, path=outpath, basename=basename, short_filename=True, no_prompt=True, **told)
        outputs.append(pp.image)
    return outputs, ui_common.plaintext_to_html(infotext), ""
