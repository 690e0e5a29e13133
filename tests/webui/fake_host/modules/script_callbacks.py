"""What extensions are called for. An exception of theirs is reported and swallowed."""

from modules import errors


class ImageSaveParams:
    def __init__(self, image, p, filename, pnginfo):
        self.image = image
        self.p = p
        self.filename = filename
        self.pnginfo = pnginfo


callback_map = {
    name: []
    for name in (
        "app_started",
        "model_loaded",
        "ui_settings",
        "before_ui",
        "before_component",
        "after_component",
        "before_image_saved",
        "image_saved",
        "script_unloaded",
    )
}


def clear_callbacks():
    for callbacks in callback_map.values():
        callbacks.clear()


def _call(name, *args, **kwargs):
    for callback in list(callback_map[name]):
        try:
            callback(*args, **kwargs)
        except Exception:  # noqa: BLE001 - as the host does
            errors.report(f"Error executing callback {name}", exc_info=True)


def app_started_callback(demo, app):
    _call("app_started", demo, app)


def model_loaded_callback(sd_model):
    _call("model_loaded", sd_model)


def ui_settings_callback():
    _call("ui_settings")


def before_ui_callback():
    _call("before_ui")


def before_component_callback(component, **kwargs):
    _call("before_component", component, **kwargs)


def after_component_callback(component, **kwargs):
    _call("after_component", component, **kwargs)


def before_image_saved_callback(params):
    _call("before_image_saved", params)


def image_saved_callback(params):
    _call("image_saved", params)


def script_unloaded_callback():
    _call("script_unloaded")


def on_app_started(callback, *, name=None):
    callback_map["app_started"].append(callback)


def on_model_loaded(callback, *, name=None):
    callback_map["model_loaded"].append(callback)


def on_ui_settings(callback, *, name=None):
    callback_map["ui_settings"].append(callback)


def on_before_ui(callback, *, name=None):
    callback_map["before_ui"].append(callback)


def on_before_component(callback, *, name=None):
    callback_map["before_component"].append(callback)


def on_after_component(callback, *, name=None):
    callback_map["after_component"].append(callback)


def on_before_image_saved(callback, *, name=None):
    callback_map["before_image_saved"].append(callback)


def on_image_saved(callback, *, name=None):
    callback_map["image_saved"].append(callback)


def on_script_unloaded(callback, *, name=None):
    callback_map["script_unloaded"].append(callback)
