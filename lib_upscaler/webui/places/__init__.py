"""Where users meet TrueScale: Extras, Hires Fix, SD Upscale, the API, the X/Y/Z plot."""
