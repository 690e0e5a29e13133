"""Pictures: files read and written with what they say beside their pixels, and the arithmetic of pixels."""
