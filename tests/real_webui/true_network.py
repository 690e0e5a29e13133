"""What a network truly gives, by spandrel and torch alone; it imports nothing of ours.

    python true_network.py MODEL PICTURE RESULT.npy [WIDTH HEIGHT]

PICTURE: a file for Pillow, or ``.npy`` of (H, W, 3) with values from 0 to 1. RESULT: ``(H, W, 3)`` float64 in 8-bit
levels, of the whole picture in RGB and float32; with a size, by Lanczos in float.
"""

import sys

import numpy as np
import spandrel
import torch
from PIL import Image


def main(model, picture, result, *size):
    descriptor = spandrel.ModelLoader("cpu").load_from_file(model).eval()
    descriptor.model.float()
    if picture.endswith(".npy"):
        pixels = np.load(picture).astype(np.float32)
    else:
        pixels = np.asarray(Image.open(picture).convert("RGB"), np.float32) / 255
    with torch.inference_mode():
        output = descriptor(torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous())
    levels = output[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255
    if size:
        levels = resized(levels, int(size[0]), int(size[1]))
    np.save(result, levels.astype(np.float64))


def resized(levels, width, height):
    """Lanczos of each plane in float."""
    planes = [Image.fromarray(np.ascontiguousarray(levels[:, :, c])) for c in range(3)]
    return np.stack([np.asarray(plane.resize((width, height), Image.LANCZOS)) for plane in planes], axis=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
