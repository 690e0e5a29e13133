"""The X/Y/Z plot, with one axis."""

from copy import copy

import modules.scripts as scripts
from modules.processing import process_images


def apply_field(field):
    def fun(p, x, xs):
        setattr(p, field, x)

    return fun


def format_value_add_label(p, opt, x):
    return f"{opt.label}: {x}"


class AxisOption:
    def __init__(
        self,
        label,
        type,
        apply,
        format_value=format_value_add_label,
        confirm=None,
        cost=0.0,
        choices=None,
        prepare=None,
    ):
        self.label = label
        self.type = type
        self.apply = apply
        self.format_value = format_value
        self.confirm = confirm
        self.cost = cost
        self.prepare = prepare
        self.choices = choices


class AxisOptionImg2Img(AxisOption):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.is_img2img = True


class AxisOptionTxt2Img(AxisOption):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.is_img2img = False


axis_options = [
    AxisOption("Nothing", str, lambda p, x, xs: None),
    AxisOption("Seed", int, apply_field("seed")),
    AxisOptionTxt2Img("Hires upscaler", str, apply_field("hr_upscaler")),
]


class Script(scripts.Script):
    def title(self):
        return "X/Y/Z plot"

    def ui(self, is_img2img):
        fits = [x for x in axis_options if type(x) is AxisOption or x.is_img2img == is_img2img]
        self.current_axis_options = fits
        return []

    def run(self, p, x_type, x_values):
        """One picture for each value; the copies of ``p`` are shallow."""
        option = next(x for x in self.current_axis_options if x.label == x_type)
        values = [option.type(value) for value in x_values]
        done = []
        for value in values:
            pc = copy(p)
            option.apply(pc, value, values)
            done.append(process_images(pc))
        return done
