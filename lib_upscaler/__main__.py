"""``python -m lib_upscaler``."""

from __future__ import annotations

import sys

from .cli.commands import main

if __name__ == "__main__":
    sys.exit(main(program="python -m lib_upscaler"))
