"""Model files, and the list of upscalers."""

import importlib
import os
from urllib.parse import urlparse

from modules import shared
from modules.upscaler import Upscaler, UpscalerLanczos, UpscalerNearest, UpscalerNone

online = {}
"""Address -> bytes: the network. What is not in it cannot be reached."""


def load_file_from_url(url, *, model_dir, progress=True, file_name=None, hash_prefix=None):
    os.makedirs(model_dir, exist_ok=True)
    path = os.path.abspath(os.path.join(model_dir, file_name or os.path.basename(urlparse(url).path)))
    if not os.path.exists(path):
        if url not in online:
            raise OSError("<urlopen error [Errno -3] Temporary failure in name resolution>")
        with open(path, "wb") as file:
            file.write(online[url])
    return path


def load_models(
    model_path,
    model_url=None,
    command_path=None,
    ext_filter=None,
    download_name=None,
    ext_blacklist=None,
    hash_prefix=None,
):
    """The folder of the flag, then the default one; the address where there is nothing in either."""
    places = [command_path] if command_path and command_path != model_path and os.path.exists(command_path) else []
    output = []
    for place in [*places, model_path]:
        for path in shared.walk_files(place, allowed_extensions=ext_filter):
            if path not in output:
                output.append(path)
    return output or ([model_url] if model_url is not None else [])


def friendly_name(file):
    path = urlparse(file).path if file.startswith("http") else file
    return os.path.splitext(os.path.basename(path))[0]


def load_upscalers():
    for name in ("esrgan_model", "realesrgan_model"):
        importlib.import_module(f"modules.{name}")
    classes = {}
    for cls in reversed(Upscaler.__subclasses__()):  # the newest of several of one name
        classes.setdefault(str(cls), cls)
    data = []
    for cls in reversed(list(classes.values())):
        flag = f"{cls.__name__.lower().replace('upscaler', '')}_models_path"
        path = getattr(shared.cmd_opts, flag, None)
        scaler = cls(path)
        scaler.user_path = path
        scaler.model_download_path = path or scaler.model_path
        data += scaler.scalers
    plain = (UpscalerNone, UpscalerLanczos, UpscalerNearest)
    shared.sd_upscalers = sorted(data, key=lambda x: "" if isinstance(x.scaler, plain) else x.name.lower())
