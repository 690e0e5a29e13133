"""The networks that the tests use, by their names."""

__all__ = ["ANIME", "PLUS", "SHIPPED", "VIDEO"]

ANIME, PLUS, VIDEO = "RealESRGAN_x4plus_anime_6B", "RealESRGAN_x4plus", "realesr-animevideov3-x4"
"""In the folder of shared models: RRDB with 6 and with 23 blocks, and Compact."""

SHIPPED = "TrueScale 4x"
