"""Steps of the Extras that the user wants after each generation as well."""

from modules import scripts, scripts_postprocessing, shared


class ScriptPostprocessingForMainUI(scripts.Script):
    def __init__(self, script_postproc):
        self.script = script_postproc
        self.postprocessing_controls = None

    def title(self):
        return self.script.name

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        self.postprocessing_controls = self.script.ui()
        return self.postprocessing_controls.values()

    def postprocess_image(self, p, script_pp, *args):
        values = dict(zip(self.postprocessing_controls, args))
        pp = scripts_postprocessing.PostprocessedImage(script_pp.image)
        pp.info = {}
        self.script.process(pp, **values)
        p.extra_generation_params.update(pp.info)
        script_pp.image = pp.image


def create_auto_preprocessing_script_data():
    found = []
    for name in shared.opts.postprocessing_enable_in_main_ui:
        for data in scripts.postprocessing_scripts_data:
            if data.script_class.name == name:
                make = data.script_class
                found.append(data._replace(script_class=lambda make=make: ScriptPostprocessingForMainUI(make())))
                break
    return found
