"""TrueScale Hires Fix: its accordion in txt2img, and what it makes of the second pass of a generation."""
