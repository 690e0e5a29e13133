"""Making pictures, without Stable Diffusion: the first pass is noise from the seed, the second changes nothing but
where a test has put a network into the checkpoint: then it samples as img2img does.

img2img adds to the picture its noise (``p.rng``, of the size of the latent picture) by the denoising strength, at once
lighter or darker squares of 8x8 px.
"""

import random
import re
from dataclasses import dataclass, field

import numpy as np
import torch
from modules import devices, images, infotext_utils, prompt_parser, rng, scripts, sd_models, sd_samplers, sd_vae, shared
from modules.shared import opts, state
from PIL import Image

STEPS = []
"""Called at each step with ``p`` and the step's number; a test puts what the user does meanwhile into it."""


class DecodedSamples(list):
    already_decoded = True


def decode_latent_batch(model, batch, target_device=None, check_for_nans=False):
    """What the first pass gives is pictures already."""
    return DecodedSamples(batch)


@dataclass(repr=False)
class StableDiffusionProcessing:
    prompt: str = ""
    negative_prompt: str = ""
    seed: int = 1
    subseed: int = 1
    subseed_strength: float = 0.0
    seed_resize_from_h: int = 0
    seed_resize_from_w: int = 0
    width: int = 64
    height: int = 48
    steps: int = 4
    n_iter: int = 1
    batch_size: int = 1
    sampler_name: str = "Euler"
    cfg_scale: float = 7.0
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    do_not_reload_embeddings: bool = False
    restore_faces: bool = False
    outpath_samples: str = None
    styles: list = None
    override_settings: dict = field(default_factory=dict)
    override_settings_restore_afterwards: bool = True

    def __post_init__(self):
        self.scripts = None
        self.script_args = ()
        self.extra_generation_params = {}
        self.comments = {}
        self.sampler = None
        self.iteration = 0
        self.prompts = self.all_prompts = self.c = self.uc = None
        self.color_corrections = None
        self.overlay_images = None
        self.outpath_samples = self.outpath_samples or opts.outdir_txt2img_samples

    cached_c = [None, None]  # noqa: RUF012 - of all generations, as in the host

    def setup_prompts(self):
        count = self.n_iter * self.batch_size
        self.all_prompts = self.prompt if isinstance(self.prompt, list) else [self.prompt] * count
        self.all_negative_prompts = [self.negative_prompt] * len(self.all_prompts)
        self.all_prompts = [
            shared.prompt_styles.apply_styles_to_prompt(one, self.styles or []) for one in self.all_prompts
        ]

    def setup_conds(self):
        key = (tuple(self.prompts), self.steps, id(self.sd_model), str(prompt_parser.MEANINGS))
        if self.cached_c[0] != key:
            made = prompt_parser.get_multicond_learned_conditioning(self.sd_model, self.prompts, self.steps)
            self.cached_c[:] = [key, made]
        self.c = self.cached_c[1]
        self.uc = prompt_parser.get_learned_conditioning(self.sd_model, self.negative_prompts, self.steps)

    @property
    def sd_model(self):
        return sd_models.model_data.sd_model

    def comment(self, text):
        self.comments[text] = 1

    def save_samples(self):
        return not self.do_not_save_samples

    def init(self, all_prompts, all_seeds, all_subseeds):
        pass

    def sample(self, conditioning, unconditional_conditioning, seeds, subseeds, subseed_strength, prompts):
        raise NotImplementedError


def _run_steps(p, steps):
    state.sampling_steps = steps
    for number in range(steps):
        state.sampling_step = number
        for step in STEPS:
            step(p, number)
        if state.interrupted or state.skipped:
            break


def first_pass(seed, width, height):
    """``(height, width, 3)`` uint8: what the first pass makes of a seed."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def _to_samples(pictures):
    return torch.from_numpy(np.stack(pictures).astype(np.float32)).permute(0, 3, 1, 2) / 255 * 2 - 1


def _to_picture(x_sample):
    return (255.0 * np.moveaxis(x_sample.cpu().numpy(), 0, 2)).round().astype(np.uint8)


@dataclass(repr=False)
class StableDiffusionProcessingTxt2Img(StableDiffusionProcessing):
    enable_hr: bool = False
    denoising_strength: float = 0.75
    hr_scale: float = 2.0
    hr_upscaler: str = None
    hr_second_pass_steps: int = 0
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    hr_sampler_name: str = None
    hr_checkpoint_info: object = None
    is_hr_pass: bool = False

    def init(self, all_prompts, all_seeds, all_subseeds):
        if not self.enable_hr:
            return
        self.extra_generation_params["Denoising strength"] = self.denoising_strength
        self.latent_scale_mode = shared.latent_upscale_modes.get(self.hr_upscaler or shared.latent_upscale_default_mode)
        if self.latent_scale_mode is None and not any(x.name == self.hr_upscaler for x in shared.sd_upscalers):
            raise Exception(f"could not find upscaler named {self.hr_upscaler}")
        self.truncate_x = self.truncate_y = 0
        if self.hr_resize_x and self.hr_resize_y:
            self.extra_generation_params["Hires resize"] = f"{self.hr_resize_x}x{self.hr_resize_y}"
            self.hr_upscale_to_x, self.hr_upscale_to_y = self.hr_resize_x, self.hr_resize_y
        else:
            self.extra_generation_params["Hires upscale"] = self.hr_scale
            self.hr_upscale_to_x = int(self.width * self.hr_scale)
            self.hr_upscale_to_y = int(self.height * self.hr_scale)
        if not state.processing_has_refined_job_count:
            if state.job_count == -1:
                state.job_count = self.n_iter
            state.job_count = state.job_count * 2
            state.processing_has_refined_job_count = True
        if self.hr_upscaler is not None:
            self.extra_generation_params["Hires upscaler"] = self.hr_upscaler

    def sample(self, conditioning, unconditional_conditioning, seeds, subseeds, subseed_strength, prompts):
        _run_steps(self, self.steps)
        samples = _to_samples([first_pass(seed, self.width, self.height) for seed in seeds])
        if not self.enable_hr:
            return samples
        decoded_samples = samples if self.latent_scale_mode is None else None
        with sd_models.SkipWritingToConfig():
            sd_models.reload_model_weights(info=self.hr_checkpoint_info)
        return self.sample_hr_pass(samples, decoded_samples, seeds, subseeds, subseed_strength, prompts)

    def sample_hr_pass(self, samples, decoded_samples, seeds, subseeds, subseed_strength, prompts):
        if shared.state.interrupted:
            return samples
        self.is_hr_pass = True
        width, height = self.hr_upscale_to_x, self.hr_upscale_to_y
        self.sampler = sd_samplers.create_sampler(self.hr_sampler_name or self.sampler_name, self.sd_model)
        if self.latent_scale_mode is not None:
            samples = torch.nn.functional.interpolate(samples, size=(height, width), mode="bilinear")
        else:
            lowres_samples = torch.clamp((decoded_samples + 1.0) / 2.0, min=0.0, max=1.0)
            batch_images = []
            for i, x_sample in enumerate(lowres_samples):
                image = Image.fromarray(_to_picture(x_sample))
                if self.save_samples() and opts.save_images_before_highres_fix:
                    info = create_infotext(self, [], [seeds[i]], [])
                    images.save_image(image, self.outpath_samples, "", seeds[i], info=info, p=self, suffix="-before")
                image = images.resize_image(0, image, width, height, upscaler_name=self.hr_upscaler)
                batch_images.append(np.array(image))
            samples = _to_samples(batch_images)
        shared.state.nextjob()
        latent = torch.nn.functional.interpolate(samples, (height // 8, width // 8), mode="area")
        latent = torch.cat([latent, latent[:, :1]], dim=1)
        self.rng = rng.ImageRNG(latent.shape[1:], self.seeds, self.subseeds, self.subseed_strength)
        noise = self.rng.next()
        if self.scripts is not None:
            self.scripts.before_hr(self)
        steps = self.hr_second_pass_steps or self.steps
        _run_steps(self, steps)
        if hasattr(self.sd_model, "apply_model") or hasattr(self.sd_model, "forge_objects"):
            conditioning = latent.new_zeros((len(latent), 5, 1, 1))
            x = self.sampler.sample_img2img(
                self, latent, noise, None, None, steps=steps, image_conditioning=conditioning
            )
            change = torch.nn.functional.interpolate(x[:, :3] - latent[:, :3], samples.shape[2:], mode="nearest")
            samples = samples + change
        self.sampler = None
        self.is_hr_pass = False
        return DecodedSamples(samples)


@dataclass(repr=False)
class StableDiffusionProcessingImg2Img(StableDiffusionProcessing):
    init_images: list = None
    resize_mode: int = 0
    denoising_strength: float = 0.0
    mask: object = None
    mask_blur_x: int = 4
    mask_blur_y: int = 4
    mask_round: bool = True
    inpainting_fill: int = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = 0
    inpainting_mask_invert: int = 0
    latent_mask: object = None
    image_mask: object = field(default=None, init=False)
    nmask: object = field(default=None, init=False)
    mask_for_overlay: object = field(default=None, init=False)
    image_conditioning: object = field(default=None, init=False)
    init_latent: object = field(default=None, init=False)

    def __post_init__(self):
        super().__post_init__()
        self.image_mask, self.mask = self.mask, None

    @property
    def mask_blur(self):
        return self.mask_blur_x if self.mask_blur_x == self.mask_blur_y else None

    @mask_blur.setter
    def mask_blur(self, value):
        self.mask_blur_x = self.mask_blur_y = value

    def init(self, all_prompts, all_seeds, all_subseeds):
        self.extra_generation_params["Denoising strength"] = self.denoising_strength
        self.sampler = sd_samplers.create_sampler(self.sampler_name, None)
        mask = None if self.image_mask is None else self.image_mask.convert("L")
        if mask is not None:
            assert not any((self.inpaint_full_res, self.mask_blur_x, self.mask_blur_y, self.inpainting_mask_invert))
            self.overlay_images = []
        pictures = []
        for image in self.init_images:
            image = images.flatten(image, opts.img2img_background_color).convert("RGB")
            image = images.resize_image(self.resize_mode, image, self.width, self.height)
            if mask is not None:
                self.overlay_images.append(image.convert("RGBA"))
            pictures.append(np.asarray(image))
        if len(pictures) == 1:
            pictures *= self.batch_size
        elif len(pictures) <= self.batch_size:
            self.batch_size = len(pictures)
        else:
            raise RuntimeError(f"bad number of images passed: {len(pictures)}; expecting {self.batch_size} or less")
        small = torch.nn.functional.interpolate(_to_samples(pictures), (self.height // 8, self.width // 8), mode="area")
        # The autoencoder draws random numbers of its own.
        self.init_latent = torch.cat([small, 0.2 * torch.randn_like(small[:, :1])], dim=1)
        self.image_conditioning = small.new_zeros((len(pictures), 5, 1, 1))
        if mask is not None:
            latent = np.asarray(mask.resize((self.width // 8, self.height // 8)), np.float32) / 255
            latent = np.tile((np.around(latent) if self.mask_round else latent)[None], (4, 1, 1))
            self.mask, self.nmask = torch.asarray(1.0 - latent), torch.asarray(latent)

    def sample(self, conditioning, unconditional_conditioning, seeds, subseeds, subseed_strength, prompts):
        pictures = [images.resize_image(0, each, self.width, self.height) for each in self.init_images]
        pictures = [np.asarray(picture.convert("RGB")) for picture in pictures] * (
            self.batch_size if len(pictures) == 1 else 1
        )
        noise = self.rng.next()
        _run_steps(self, self.steps)
        x = self.sampler.sample_img2img(self, self.init_latent, noise, image_conditioning=self.image_conditioning)
        if self.mask is not None:
            x = x * self.nmask + self.init_latent * self.mask
        # Decoded: the picture, what sampling has changed, and what the autoencoder drew.
        change = x[:, :3] - self.init_latent[:, :3] + self.denoising_strength * x[:, 3:]
        return _to_samples(pictures) + torch.repeat_interleave(torch.repeat_interleave(change, 8, 2), 8, 3)


class Processed:
    def __init__(self, p, images_list, seed=-1, info="", all_seeds=None, infotexts=None):
        self.images = images_list
        self.seed = seed
        self.info = info
        self.all_seeds = all_seeds or [seed]
        self.infotexts = infotexts or [info]
        self.comments = "".join(f"{comment}\n" for comment in p.comments)
        self.index_of_first_image = 0

    def infotext(self, p, index):
        return create_infotext(p, p.all_prompts, p.all_seeds, p.all_subseeds, index=index)


def fix_seed(p):
    p.seed = random.randrange(2**32) if p.seed in (None, "", -1) else int(p.seed)
    p.subseed = random.randrange(2**32) if p.subseed in (None, "", -1) else int(p.subseed)


def create_infotext(p, all_prompts, all_seeds, all_subseeds, comments=None, iteration=0, position_in_batch=0, index=0):
    values = {
        "Steps": p.steps,
        "Sampler": p.sampler_name,
        "CFG scale": p.cfg_scale,
        "Seed": all_seeds[index],
        "Size": f"{p.width}x{p.height}",
        **p.extra_generation_params,
    }
    for key, value in values.items():
        values[key] = value[index] if isinstance(value, list) else value(p=p, index=index) if callable(value) else value
    told = (k if k == v else f"{k}: {infotext_utils.quote(v)}" for k, v in values.items() if v is not None)
    prompt = all_prompts[index] if all_prompts else p.prompt
    return f"{prompt}\n{', '.join(told)}".strip()


def process_images(p):
    if p.scripts is not None:
        p.scripts.before_process(p)
    stored = {key: opts.data[key] for key in p.override_settings if key in opts.data}
    try:
        if sd_models.checkpoint_aliases.get(p.override_settings.get("sd_model_checkpoint")) is None:
            p.override_settings.pop("sd_model_checkpoint", None)
            sd_models.reload_model_weights()
        for key, value in p.override_settings.items():
            opts.set(key, value, is_api=True, run_callbacks=False)
            if key == "sd_model_checkpoint":
                sd_models.reload_model_weights()
            if key == "sd_vae":
                sd_vae.reload_vae_weights()
        return process_images_inner(p)
    finally:
        if p.override_settings_restore_afterwards:
            for key, value in stored.items():
                setattr(opts, key, value)
                if key == "sd_vae":
                    sd_vae.reload_vae_weights()


def process_images_inner(p):
    count = p.n_iter * p.batch_size
    p.setup_prompts()
    p.all_seeds = [p.seed + (number if p.subseed_strength == 0 else 0) for number in range(count)]
    p.all_subseeds = [p.subseed + number for number in range(count)]
    if p.scripts is not None:
        p.scripts.process(p)
    output_images, infotexts = [], []
    with torch.no_grad():
        p.init(p.all_prompts, p.all_seeds, p.all_subseeds)
        if state.job_count == -1:
            state.job_count = p.n_iter
        for n in range(p.n_iter):
            p.iteration = n
            state.skipped = False
            if state.interrupted or state.stopping_generation:
                break
            seeds = p.all_seeds[n * p.batch_size : (n + 1) * p.batch_size]
            subseeds = p.all_subseeds[n * p.batch_size : (n + 1) * p.batch_size]
            p.seeds, p.subseeds = seeds, subseeds
            part = slice(n * p.batch_size, (n + 1) * p.batch_size)
            # What switches on a LoRA is taken out, and looked up in the first prompt alone.
            p.prompts = [re.sub(r"<\w+:[^>]+>", "", prompt) for prompt in p.all_prompts[part]]
            p.negative_prompts = p.all_negative_prompts[part]
            p.setup_conds()
            p.rng = rng.ImageRNG((4, p.height // 8, p.width // 8), seeds, subseeds, p.subseed_strength)
            with devices.autocast():
                samples = p.sample(None, None, seeds, subseeds, p.subseed_strength, p.prompts)
            if getattr(samples, "already_decoded", False):
                samples = torch.stack(samples).float()
            samples = torch.clamp((samples + 1.0) / 2.0, min=0.0, max=1.0)
            state.nextjob()
            for number, x_sample in enumerate(samples):
                image = Image.fromarray(_to_picture(x_sample))
                if p.scripts is not None:
                    pp = scripts.PostprocessImageArgs(image)
                    p.scripts.postprocess_image(p, pp)
                    image = pp.image
                text = create_infotext(p, p.all_prompts[part], seeds, [], index=number)
                if p.save_samples():
                    images.save_image(image, p.outpath_samples, "", seeds[number], p.prompt, info=text, p=p)
                infotexts.append(text)
                image.info["parameters"] = text
                output_images.append(image)
    res = Processed(p, output_images, p.all_seeds[0], infotexts[0] if infotexts else "", p.all_seeds, infotexts)
    if p.scripts is not None:
        p.scripts.postprocess(p, res)
    return res
