import os

from modules import esrgan_model, modelloader
from modules.shared import opts
from modules.upscaler import NEAREST, Upscaler, UpscalerData

_RELEASES = "https://github.com/xinntao/Real-ESRGAN/releases/download"


class UpscalerRealESRGAN(Upscaler):
    def __init__(self, path):
        self.name = "RealESRGAN"
        self.user_path = path
        super().__init__()
        self.scalers = []
        here = self.find_models(ext_filter=[".pth"])
        for entry in get_realesrgan_models(self):
            file = f"{modelloader.friendly_name(entry.local_data_path)}.pth"
            entry.local_data_path = next((path for path in here if path.endswith(file)), entry.local_data_path)
            if entry.name in opts.realesrgan_enabled_models:
                self.scalers.append(entry)

    def do_upscale(self, img, path):
        entry = next(entry for entry in self.scalers if entry.data_path == path)
        if entry.local_data_path.startswith("http"):
            entry.local_data_path = modelloader.load_file_from_url(entry.data_path, model_dir=self.model_download_path)
        assert os.path.exists(entry.local_data_path)
        esrgan_model.ran.append(entry.local_data_path)
        return img.resize((img.width * entry.scale, img.height * entry.scale), NEAREST)


def get_realesrgan_models(scaler):
    return [
        UpscalerData(name="R-ESRGAN 4x+", path=f"{_RELEASES}/v0.1.0/RealESRGAN_x4plus.pth", scale=4, upscaler=scaler),
        UpscalerData(
            name="R-ESRGAN 4x+ Anime6B",
            path=f"{_RELEASES}/v0.2.2.4/RealESRGAN_x4plus_anime_6B.pth",
            scale=4,
            upscaler=scaler,
        ),
        UpscalerData(name="R-ESRGAN 2x+", path=f"{_RELEASES}/v0.2.1/RealESRGAN_x2plus.pth", scale=2, upscaler=scaler),
    ]
