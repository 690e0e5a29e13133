"""Our engine under the host's own names: its list of upscalers, and what becomes of what fails."""
