"""Animations and files of several pages, frame by frame: ``source`` reads them, ``writing`` writes them."""
