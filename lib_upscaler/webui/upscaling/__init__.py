"""The one engine of the WebUI's process, and a picture's way through it or through the host's upscalers."""
