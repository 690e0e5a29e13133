"""The binding to a Stable Diffusion WebUI: the only place that imports ``modules.*`` or gradio.

``entry`` puts it all in place; the files in ``scripts/`` call it.
"""
