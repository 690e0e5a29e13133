"""In place of the detector that ADetailer imports: it finds the middle of each picture, and notes its size."""

import os
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import torch
from modules import paths


class Finds:
    def __init__(self, path):
        pass

    def __call__(self, image, **named):
        width, height = image.size
        with open(os.path.join(paths.data_path, "detected.txt"), "a", encoding="utf-8") as file:
            file.write(f"{width}x{height}\n")
        middle = torch.tensor([[width // 4, height // 4, 3 * width // 4, 3 * height // 4]]).float()
        boxes = SimpleNamespace(xyxy=middle, conf=torch.tensor([0.9]))
        return [SimpleNamespace(boxes=boxes, masks=None, plot=lambda: np.zeros((height, width, 3), np.uint8))]


sys.modules["ultralytics"] = ModuleType("ultralytics")
sys.modules["ultralytics"].YOLO = Finds
