"""Pictures that stand in the gallery of txt2img or img2img, upscaled there."""
