"""LDSR: four times larger by latent diffusion. Its file, its networks, its noise levels and samplers.

The model is the super-resolution one of "High-Resolution Image Synthesis with Latent Diffusion Models" (Rombach et al.,
2022); the arithmetic follows https://github.com/CompVis/latent-diffusion (MIT). The code is our own, and plain torch:
no ``ldm``, no configuration file, and nothing global is touched.

``layout`` tells the networks' sizes from the shapes in a file, ``file`` reads it, ``unet`` and ``vq`` are the networks,
``schedule`` and ``samplers`` lead from noise to a latent, ``settings`` is what can be asked for. ``running.ldsr`` runs
it all.
"""
