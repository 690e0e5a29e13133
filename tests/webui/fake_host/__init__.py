"""A small WebUI with the shape and the behaviour of AUTOMATIC1111 1.10.1 where an extension touches it.

Its ``modules`` and ``scripts`` are laid out as the real ones are, so that ``host_facts/record.py`` reads both alike and
``test_host_facts.py`` holds one against the other. It makes pictures without Stable Diffusion: the first pass of
txt2img is noise from the seed, the second gives back what it gets. gradio, FastAPI and Pillow are the real ones.

``running.FakeHost`` starts, drives and removes it.
"""
