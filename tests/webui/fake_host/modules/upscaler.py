"""Upscalers and the entries of the list of them."""

import os
from abc import abstractmethod

from modules import modelloader, shared
from PIL import Image

LANCZOS = Image.Resampling.LANCZOS
NEAREST = Image.Resampling.NEAREST


class Upscaler:
    name = None
    model_path = None
    model_name = None
    model_url = None
    enable = True
    filter = None
    model = None
    user_path = None
    scalers: list
    tile = True

    def __init__(self, create_dirs=False):
        self.tile_size = shared.opts.ESRGAN_tile
        self.tile_pad = shared.opts.ESRGAN_tile_overlap
        self.device = shared.device
        self.scale = 1
        self.half = not shared.cmd_opts.no_half
        self.model_download_path = None
        self.can_tile = True
        if self.model_path is None and self.name:
            self.model_path = os.path.join(shared.models_path, self.name)

    @abstractmethod
    def do_upscale(self, img, selected_model):
        return img

    def upscale(self, img, scale, selected_model=None):
        """Multiples of 8, by up to three passes."""
        self.scale = scale
        width, height = (int(side * scale // 8 * 8) for side in img.size)
        for number in range(3):
            done = img.width >= width and img.height >= height and (number > 0 or scale != 1)
            if done or shared.state.interrupted:
                break
            before = img.size
            img = self.do_upscale(img, selected_model)
            if img.size == before:
                break
        return img if img.size == (width, height) else img.resize((width, height), resample=LANCZOS)

    @abstractmethod
    def load_model(self, path):
        pass

    def find_models(self, ext_filter=None):
        return modelloader.load_models(
            model_path=self.model_path, model_url=self.model_url, command_path=self.user_path, ext_filter=ext_filter
        )


class UpscalerData:
    name = None
    data_path = None
    scale: int = 4
    scaler: Upscaler = None
    model: None

    def __init__(self, name, path, upscaler=None, scale=4, model=None):
        self.name = name
        self.data_path = path
        self.local_data_path = path
        self.scaler = upscaler
        self.scale = scale
        self.model = model


class UpscalerNone(Upscaler):
    name = "None"

    def __init__(self, dirname=None):
        super().__init__(False)
        self.scalers = [UpscalerData("None", None, self)]


class UpscalerLanczos(Upscaler):
    def __init__(self, dirname=None):
        super().__init__(False)
        self.name = "Lanczos"
        self.scalers = [UpscalerData("Lanczos", None, self)]

    def do_upscale(self, img, selected_model=None):
        return img.resize((int(img.width * self.scale), int(img.height * self.scale)), resample=LANCZOS)


class UpscalerNearest(Upscaler):
    def __init__(self, dirname=None):
        super().__init__(False)
        self.name = "Nearest"
        self.scalers = [UpscalerData("Nearest", None, self)]

    def do_upscale(self, img, selected_model=None):
        return img.resize((int(img.width * self.scale), int(img.height * self.scale)), resample=NEAREST)
