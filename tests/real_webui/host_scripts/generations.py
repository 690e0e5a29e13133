"""Scripts in txt2img for the tests, switched on by a word in the prompt."""

from pathlib import Path

from modules import processing, scripts
from PIL import Image

FIRST_PASS = Path(__file__).resolve().parents[3] / "first-pass.png"


class Nested(scripts.Script):
    """NESTED: redraws each finished picture by an img2img of its own, as ADetailer does."""

    def title(self):
        return "Nested"

    def show(self, is_img2img):
        return False if is_img2img else scripts.AlwaysVisible

    def postprocess_image(self, p, pp, *args):
        if "NESTED" not in p.prompt:
            return
        inner = processing.StableDiffusionProcessingImg2Img(
            init_images=[pp.image], resize_mode=0, denoising_strength=0.3, prompt="eyes", steps=2, seed=1,
            width=pp.image.width // 8 * 8, height=pp.image.height // 8 * 8, sd_model=p.sd_model,
            do_not_save_samples=True, do_not_save_grid=True,
        )  # fmt: skip
        inner.scripts, inner.script_args = p.scripts, p.script_args
        pp.image = processing.process_images(inner).images[0]


class FirstPass(scripts.Script):
    """FIRSTPASS: Hires Fix enlarges the picture of that name, since those of the tiny checkpoint are noise."""

    def title(self):
        return "First pass"

    def show(self, is_img2img):
        return False if is_img2img else scripts.AlwaysVisible

    def process(self, p, *args):
        if "FIRSTPASS" in p.prompt:
            p.firstpass_image = Image.open(FIRST_PASS)
