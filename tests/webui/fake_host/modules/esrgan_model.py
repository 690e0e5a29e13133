from modules import modelloader
from modules.upscaler import NEAREST, Upscaler, UpscalerData

ran = []
"""Paths of the models that the host's own engine was run with."""


class UpscalerESRGAN(Upscaler):
    def __init__(self, dirname):
        self.name = "ESRGAN"
        self.model_url = "https://github.com/cszn/KAIR/releases/download/v1.0/ESRGAN.pth"
        self.model_name = "ESRGAN_4x"
        self.scalers = []
        self.user_path = dirname
        super().__init__()
        for file in self.find_models(ext_filter=[".pt", ".pth"]):
            name = self.model_name if file.startswith("http") else modelloader.friendly_name(file)
            self.scalers.append(UpscalerData(name, file, self, 4))

    def do_upscale(self, img, selected_model):
        ran.append(selected_model)
        return img.resize((img.width * 4, img.height * 4), NEAREST)
