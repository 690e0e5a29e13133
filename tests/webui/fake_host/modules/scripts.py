"""Scripts of the host and of extensions: loading, their panels, and when they are called."""

import inspect
import os
import sys
from collections import namedtuple

import gradio as gr
from modules import errors, paths, script_callbacks, script_loading, scripts_postprocessing

AlwaysVisible = object()


class PostprocessImageArgs:
    def __init__(self, image):
        self.image = image


class Script:
    name = None
    section = None
    filename = None
    args_from = None
    args_to = None
    alwayson = False
    is_txt2img = False
    is_img2img = False
    tabname = None
    group = None
    create_group = True
    infotext_fields = None
    paste_field_names = None
    api_info = None
    controls = None

    def title(self):
        raise NotImplementedError

    def ui(self, is_img2img):
        pass

    def show(self, is_img2img):
        return True

    def run(self, p, *args):
        pass

    def before_process(self, p, *args):
        pass

    def process(self, p, *args):
        pass

    def postprocess_image(self, p, pp, *args):
        pass

    def postprocess(self, p, processed, *args):
        pass

    def before_hr(self, p, *args):
        pass


ScriptClassData = namedtuple("ScriptClassData", ["script_class", "path", "basedir", "module"])
scripts_data = []
postprocessing_scripts_data = []
scripts_current = None
current_basedir = paths.script_path
extensions = []
"""Folders; a test appends ours."""


def basedir():
    return current_basedir


def load_scripts():
    """Each file in ``scripts/`` of the host and of the extensions, whose folder is importable only meanwhile."""
    global current_basedir, scripts_txt2img, scripts_img2img, scripts_postproc
    scripts_data.clear()
    postprocessing_scripts_data.clear()
    script_callbacks.clear_callbacks()
    for folder in (paths.script_path, *extensions):
        inside = os.path.join(folder, "scripts")
        for name in sorted(os.listdir(inside)):
            if not name.endswith(".py"):
                continue
            before = sys.path
            try:
                if folder != paths.script_path:
                    sys.path = [folder, *sys.path]
                current_basedir = folder
                path = os.path.join(inside, name)
                _register(script_loading.load_module(path), path, folder)
            except Exception:  # noqa: BLE001 - as the host does
                errors.report(f"Error loading script: {name}", exc_info=True)
            finally:
                sys.path = before
                current_basedir = paths.script_path
    scripts_txt2img, scripts_img2img = ScriptRunner(), ScriptRunner()
    scripts_postproc = scripts_postprocessing.ScriptPostprocessingRunner()


def _register(module, path, folder):
    for found in module.__dict__.values():
        if not inspect.isclass(found):
            continue
        if issubclass(found, Script):
            scripts_data.append(ScriptClassData(found, path, folder, module))
        elif issubclass(found, scripts_postprocessing.ScriptPostprocessing):
            postprocessing_scripts_data.append(ScriptClassData(found, path, folder, module))


class ScriptRunner:
    def __init__(self):
        self.scripts = []
        self.selectable_scripts = []
        self.alwayson_scripts = []
        self.infotext_fields = []
        self.inputs = [None]

    def initialize_scripts(self, is_img2img):
        from modules import scripts_auto_postprocessing

        self.scripts.clear()
        self.alwayson_scripts.clear()
        self.selectable_scripts.clear()
        for data in scripts_auto_postprocessing.create_auto_preprocessing_script_data() + scripts_data:
            script = data.script_class()
            script.filename = data.path
            script.is_txt2img, script.is_img2img = not is_img2img, is_img2img
            script.tabname = "img2img" if is_img2img else "txt2img"
            visibility = script.show(is_img2img)
            if visibility is AlwaysVisible:
                self.scripts.append(script)
                self.alwayson_scripts.append(script)
                script.alwayson = True
            elif visibility:
                self.scripts.append(script)
                self.selectable_scripts.append(script)

    def create_script_ui(self, script):
        script.args_from = script.args_to = len(self.inputs)
        try:
            controls = script.ui(script.is_img2img)
        except Exception:  # noqa: BLE001 - as the host does
            errors.report(f"Error creating UI for {script.filename}", exc_info=True)
            return
        script.controls = controls
        if controls is None:
            return
        script.name = script.title().lower()
        for control in controls:
            control.custom_script_source = os.path.basename(script.filename)
        if script.infotext_fields is not None:
            self.infotext_fields += script.infotext_fields
        self.inputs += controls
        script.args_to = len(self.inputs)

    def prepare_ui(self):
        self.inputs = [None]

    def setup_ui(self):
        for script in (*self.alwayson_scripts, *self.selectable_scripts):
            with gr.Group(visible=script.alwayson) as group:
                self.create_script_ui(script)
            script.group = group
        return self.inputs

    def _call(self, method, p, *values):
        for script in self.alwayson_scripts:
            try:
                getattr(script, method)(p, *values, *p.script_args[script.args_from : script.args_to])
            except Exception:  # noqa: BLE001 - as the host does
                errors.report(f"Error running {method}: {script.filename}", exc_info=True)

    def run(self, p, *args):
        """The script chosen in the drop-down, whose number from 1 is the first argument; None for none."""
        if not args or not args[0]:
            return None
        script = self.selectable_scripts[args[0] - 1]
        return script.run(p, *args[script.args_from : script.args_to])

    def before_process(self, p):
        self._call("before_process", p)

    def process(self, p):
        self._call("process", p)

    def before_hr(self, p):
        self._call("before_hr", p)

    def postprocess_image(self, p, pp):
        self._call("postprocess_image", p, pp)

    def postprocess(self, p, processed):
        self._call("postprocess", p, processed)


scripts_txt2img = None
scripts_img2img = None
scripts_postproc = None
