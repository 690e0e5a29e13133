"""Small helpers."""

opened = []


def open_folder(path):
    """The host starts a file manager; here it is only noted."""
    opened.append(path)
