"""SD Upscale: an enlarged picture redrawn by Stable Diffusion tile by tile, without seams. Knows nothing of a WebUI.

Tiles that are pictures of their own: ``grid`` cuts the picture into tiles, ``blending`` puts them together, ``noise``
gives each tile its part of one canvas-wide noise, ``color_lock`` keeps its colours, ``redraw`` runs it all with a
sampler of the caller's.

One canvas, whose denoiser works in tiles: ``canvas_grid`` says where they lie at each step, ``canvas`` stands in for
the denoiser, ``canvas_conditioning`` and ``sdxl_sizes`` tell the network what it must know of a tile, ``composition``
gives the tiles an idea of the whole, ``noise_levels`` says what a sampler means by one, ``canvas_forecast`` what it
costs, ``network_memory`` what the network takes for a tile or for the whole.
"""
