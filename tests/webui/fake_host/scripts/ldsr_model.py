"""An upscaler that is no network of ours to run, as the built-in extension LDSR is."""

from modules import upscaler


class UpscalerLDSR(upscaler.Upscaler):
    def __init__(self, user_path):
        self.name = "LDSR"
        self.user_path = user_path
        super().__init__()
        self.scalers = [upscaler.UpscalerData("LDSR", None, self)]

    def do_upscale(self, img, selected_model=None):
        return img.resize((img.width * 4, img.height * 4), upscaler.NEAREST)
