"""SD Upscale: an enlarged picture redrawn by Stable Diffusion tile by tile, without seams. Knows nothing of a WebUI.

``grid`` cuts the picture into tiles, ``blending`` puts them together, ``noise`` gives each tile its part
of one canvas-wide noise, ``color_lock`` keeps its colours, ``redraw`` runs it all with a sampler of the caller's.
"""
