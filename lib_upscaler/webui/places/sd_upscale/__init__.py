"""The img2img script "TrueScale SD Upscale"."""
