"""Reading, resizing and saving pictures."""

import os

from modules import script_callbacks, shared
from modules.shared import opts
from modules.upscaler import LANCZOS
from PIL import Image, ImageFont, ImageOps, PngImagePlugin

IGNORED_INFO_KEYS = {"exif", "icc_profile", "dpi", "gamma", "chromaticity", "loop", "duration", "jfif", "jfif_version"}
IGNORED_INFO_KEYS |= {"jfif_unit", "jfif_density", "background", "timestamp", "progressive", "progression", "photoshop"}


def resize_image(resize_mode, im, width, height, upscaler_name=None):
    """Mode 0, to exactly this size; the upscaler runs only where the picture gets larger."""
    assert resize_mode == 0, "the fake host knows no other mode"
    upscaler_name = upscaler_name or opts.upscaler_for_img2img
    if upscaler_name is None or upscaler_name == "None" or im.mode == "L":
        return im.resize((width, height), resample=LANCZOS)
    scale = max(width / im.width, height / im.height)
    if scale > 1.0:
        upscaler = next((x for x in shared.sd_upscalers if x.name == upscaler_name), shared.sd_upscalers[0])
        im = upscaler.scaler.upscale(im, scale, upscaler.data_path)
    return im if im.size == (width, height) else im.resize((width, height), resample=LANCZOS)


def get_font(fontsize):
    return ImageFont.load_default()


def flatten(img, bgcolor):
    """On a ground of one colour, RGB."""
    if img.mode == "RGBA":
        background = Image.new("RGBA", img.size, bgcolor)
        background.paste(img, mask=img)
        img = background
    return img.convert("RGB")


def save_image_with_geninfo(
    image, geninfo, filename, extension=None, existing_pnginfo=None, pnginfo_section_name="parameters"
):
    extension = extension or os.path.splitext(filename)[1]
    kind = Image.registered_extensions()[extension]
    if kind != "PNG":
        image = image.convert("RGB") if image.mode == "RGBA" else image
        image.save(filename, format=kind, quality=opts.jpeg_quality)
        return
    existing_pnginfo = existing_pnginfo or {}
    text = None
    if opts.enable_pnginfo:
        existing_pnginfo[pnginfo_section_name] = geninfo
        text = PngImagePlugin.PngInfo()
        for key, value in existing_pnginfo.items():
            text.add_text(key, str(value))
    image.save(filename, format=kind, quality=opts.jpeg_quality, pnginfo=text)


def save_image(
    image,
    path,
    basename,
    seed=None,
    prompt=None,
    extension="png",
    info=None,
    short_filename=False,
    no_prompt=False,
    grid=False,
    pnginfo_section_name="parameters",
    p=None,
    existing_info=None,
    forced_filename=None,
    suffix="",
    save_to_dirs=None,
):
    os.makedirs(path, exist_ok=True)
    stem = forced_filename
    if stem is None:
        number = len(os.listdir(path))
        stem = f"{basename}-{number:04}" if basename else f"{number:05}"
        stem += suffix if short_filename or seed is None else f"-{seed}{suffix}"
    pnginfo = existing_info or {}
    if info is not None:
        pnginfo[pnginfo_section_name] = info

    params = script_callbacks.ImageSaveParams(image, p, os.path.join(path, f"{stem}.{extension}"), pnginfo)
    script_callbacks.before_image_saved_callback(params)
    image, info = params.image, params.pnginfo.get(pnginfo_section_name)

    base, extension = os.path.splitext(params.filename)
    filename, number = f"{base}{extension}", 0
    while opts.save_images_replace_action != "Replace" and os.path.exists(filename):
        number += 1
        filename = f"{base}-{number}{extension}"
    save_image_with_geninfo(image, info, f"{base}.tmp", extension, params.pnginfo, pnginfo_section_name)
    os.replace(f"{base}.tmp", filename)
    image.already_saved_as = params.filename  # without the number that it may have got
    script_callbacks.image_saved_callback(params)
    return params.filename, None


def read_info_from_image(image):
    items = (image.info or {}).copy()
    geninfo = items.pop("parameters", None)
    for field in IGNORED_INFO_KEYS:
        items.pop(field, None)
    return geninfo, items


def read(fp, **kwargs):
    return fix_image(Image.open(fp, **kwargs))


def fix_image(image):
    if image is None:
        return None
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode in ("RGB", "P") and isinstance(image.info.get("transparency"), bytes):
            image = image.convert("RGBA")
    except Exception:  # noqa: BLE001 - as the host does
        pass
    return image
