"""Steps of the Extras."""

import dataclasses
import os
from typing import Optional

import gradio as gr
from modules import shared


@dataclasses.dataclass
class PostprocessedImageSharedInfo:
    target_width: Optional[int] = None
    target_height: Optional[int] = None


class PostprocessedImage:
    def __init__(self, image):
        self.image = image
        self.info = {}
        self.shared = PostprocessedImageSharedInfo()
        self.extra_images = []
        self.nametags = []
        self.disable_processing = False
        self.caption = None

    def get_suffix(self, used_suffixes=None):
        suffix = "".join(f"-{tag}" for tag in self.nametags)
        used = {} if used_suffixes is None else used_suffixes
        number = 0
        while f"{suffix}-{number}" in used if number else suffix in used:
            number += 1
        suffix = f"{suffix}-{number}" if number else suffix
        used[suffix] = 1
        return suffix

    def create_copy(self, new_image, *, nametags=None, disable_processing=False):
        pp = PostprocessedImage(new_image)
        pp.shared = self.shared
        pp.nametags = [*self.nametags, *(nametags or [])]
        pp.info = self.info.copy()
        pp.disable_processing = disable_processing
        return pp


class ScriptPostprocessing:
    filename = None
    controls = None
    args_from = None
    args_to = None
    order = 1000
    name = None
    group = None

    def ui(self):
        pass

    def process(self, pp, **args):
        pass

    def process_firstpass(self, pp, **args):
        pass

    def image_changed(self):
        pass


class ScriptPostprocessingRunner:
    def __init__(self):
        self.scripts = None
        self.ui_created = False

    def initialize_scripts(self, scripts_data):
        self.scripts = []
        for data in scripts_data:
            script = data.script_class()
            script.filename = data.path
            if script.name != "Simple Upscale":
                self.scripts.append(script)

    def create_script_ui(self, script, inputs):
        script.args_from = len(inputs)
        script.controls = script.ui()
        for control in script.controls.values():
            control.custom_script_source = os.path.basename(script.filename)
        inputs += list(script.controls.values())
        script.args_to = len(inputs)

    def scripts_in_preferred_order(self):
        if self.scripts is None:
            import modules.scripts

            self.initialize_scripts(modules.scripts.postprocessing_scripts_data)
        asked = list(shared.opts.postprocessing_operation_order)
        hidden = set(shared.opts.postprocessing_disable_in_extras)
        place = {name: number for number, name in reversed(list(enumerate(asked)))}
        there = [script for script in self.scripts if script.name not in hidden]
        return sorted(there, key=lambda script: (place.get(script.name, len(self.scripts)), script.order, script.name))

    def setup_ui(self):
        inputs = []
        for script in self.scripts_in_preferred_order():
            with gr.Row() as group:
                self.create_script_ui(script, inputs)
            script.group = group
        self.ui_created = True
        return inputs

    def run(self, pp, args):
        scripts = []
        for script in self.scripts_in_preferred_order():
            script_args = args[script.args_from : script.args_to]
            process_args = dict(zip(script.controls, script_args))
            scripts.append((script, process_args))
        for script, process_args in scripts:
            script.process_firstpass(pp, **process_args)
        all_images = [pp]
        for script, process_args in scripts:
            if shared.state.skipped:
                break
            shared.state.job = script.name
            for single_image in all_images.copy():
                if not single_image.disable_processing:
                    script.process(single_image, **process_args)
                for extra in single_image.extra_images:
                    is_whole = isinstance(extra, PostprocessedImage)
                    all_images.append(extra if is_whole else single_image.create_copy(extra))
                single_image.extra_images.clear()
        pp.extra_images = all_images[1:]

    def create_args_for_run(self, scripts_args):
        """None for whatever is not given."""
        if not self.ui_created:
            with gr.Blocks(analytics_enabled=False):
                self.setup_ui()
        scripts = self.scripts_in_preferred_order()
        args = [None] * max(script.args_to for script in scripts)
        for script in scripts:
            given = scripts_args.get(script.name)
            if given is not None:
                for number, name in enumerate(script.controls):
                    args[script.args_from + number] = given.get(name)
        return args

    def image_changed(self):
        for script in self.scripts_in_preferred_order():
            script.image_changed()
