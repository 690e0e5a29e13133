"""Sampling of the WebUI whose network gets tiles: hooks on one sampler's own objects, and when there can be none."""
