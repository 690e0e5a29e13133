"""The words for what a private environment takes and why it cannot be made. Pure: facts in, sentences out."""

from __future__ import annotations

import re

OLDEST_PYTHON = (3, 9)
NEWEST_PYTHON = (3, 14)
"""The last one for which the newest torch in pyproject.toml has wheels."""

_NO_SPACE = r"No space left on device|Errno 28|WinError 112"
_NOT_SECURE = r"CERTIFICATE_VERIFY_FAILED|SSLError|ProxyError"
_NOT_REACHED = r"ConnectionError|Max retries|Read timed out|ReadTimeout|Temporary failure|getaddrinfo|broken by '"
_NOT_WRITTEN = r"Permission denied|Access is denied"

PIP_FAILURES = (
    (_NO_SPACE, "the disk is full. Free some space, and run this again."),
    (
        r"Long Path support",
        "the folder's path is too long for Windows. Move TrueScale to a shorter one, such as C:\\ts.",
    ),
    (
        _NOT_SECURE,
        "the secure connection to the package index failed. Behind a company's proxy, set pip's options 'proxy' and "
        "'cert', and run this again.",
    ),
    (
        _NOT_REACHED,
        "the package index could not be reached. Check the network, and run this again: what was downloaded is kept.",
    ),
    (
        r"No matching distribution found for",
        "a package is not there for this Python on this machine. Try Python 3.10 or 3.11, which most WebUIs use.",
    ),
    (_NOT_WRITTEN, "a file could not be written. Close what uses the folder .venv."),
)
"""What is looked for in pip's log, in this order, and what it means."""

_FETCH_FAILURES = (
    (_NO_SPACE, "the disk is full"),
    (_NOT_WRITTEN, "a file could not be written"),
    (r"DO NOT MATCH THE HASHES", "what came is not what was announced"),
    (_NOT_SECURE, "the secure connection to the package index failed"),
    # pip, told to try once, does not say that it was not connected.
    (rf"{_NOT_REACHED}|from versions: none", "the package index could not be reached, or has it not"),
    (r"No matching distribution found for", "the package index has it not for this Python"),
    (r"^Command .* returned non-zero exit status", "pip says above why"),
)


def unsupported(version: tuple[int, int], platform: str, implementation: str, is_64_bit: bool) -> str:
    """Why no torch can be had for this Python, and what to do; "" where one can.

    platform: system and processor, such as "linux-x86_64", "win-amd64", "macosx-arm64".
    """
    name = ".".join(map(str, version))
    span = f"{'.'.join(map(str, OLDEST_PYTHON))} to {'.'.join(map(str, NEWEST_PYTHON))}"
    other = "Install one from python.org and run this with it, such as: "
    other += "py -3.11 install.py ..." if platform.startswith("win") else "python3.11 install.py ..."
    if version < OLDEST_PYTHON:
        return f"Python {name} is too old; {span} will do. {other}"
    if version > NEWEST_PYTHON:
        return f"Python {name} is too new: PyTorch is not known to be there for it; {span} will do. {other}"
    if implementation != "cpython":
        return f"this Python is {implementation}; PyTorch needs the usual one (CPython). {other}"
    if not is_64_bit:
        return f"this is a 32-bit Python; PyTorch needs a 64-bit one. {other}"
    if platform == "win-arm64":
        return f"PyTorch is not there for Windows on ARM; a Python for x64 (AMD64) will do. {other}"
    if platform == "macosx-x86_64" and version > (3, 12):
        return f"the last PyTorch for Intel Macs needs Python 3.12 or older, not {name}. {other}"
    return ""


def sizes(platform: str, version: tuple[int, int], extra_index: bool) -> tuple[float, float]:
    """What the environment takes, in GB (10^9 bytes): to download, and on the disk. Measured on Linux.

    extra_index: the user names another package index, taken to be PyTorch's for the CPU.
    """
    if platform == "linux-x86_64" and not extra_index:  # PyTorch brings CUDA along
        return (2.7, 5.6) if version < (3, 13) else (4.1, 7.4)
    return 0.4, 1.6


def hints(platform: str) -> list[str]:
    """What is good to know before the download."""
    if platform == "linux-x86_64":
        return [
            "Most of it is NVIDIA's CUDA: the package index has no PyTorch for Linux without it. Without an NVIDIA GPU",
            "a tenth of it will do: name PyTorch's index for the CPU (see 'Get started' on pytorch.org) in the",
            "environment variable PIP_EXTRA_INDEX_URL, which pip reads.",
        ]
    if platform.startswith("win"):
        return [
            "The package index has PyTorch for Windows without CUDA. To use an NVIDIA GPU, name PyTorch's index for",
            "CUDA (see 'Get started' on pytorch.org) in the environment variable PIP_EXTRA_INDEX_URL, which pip reads.",
        ]
    return []


def pip_failure(log: str) -> str:
    """Why pip failed, by its log, and what to do."""
    for pattern, words in PIP_FAILURES:
        if re.search(pattern, log):
            return words
    return "pip failed; its last lines above say why. Run this again when that is cured."


def fetch_failure(said: str) -> str:
    """Why a WebUI's pip did not fetch a package, a phrase, by all that was said of it."""
    for pattern, words in _FETCH_FAILURES:
        if re.search(pattern, said):
            return words
    lines = said.strip().splitlines() or ["pip installed nothing"]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    return errors[-1][len("ERROR: ") :] if errors else lines[0]


def import_failure(problem: str, system: str, folder: str) -> str:
    """What to do where all is installed but cannot be loaded. ``system`` as in ``sys.platform``."""
    words = f"all is installed, but it cannot be loaded: {problem}."
    if system == "win32" and "DLL" in problem:
        return f"{words} Install Microsoft's Visual C++ Redistributable (x64), and run this again."
    return f"{words} Delete {folder} and run this again; if it stays so, try another Python (3.10 or 3.11)."
