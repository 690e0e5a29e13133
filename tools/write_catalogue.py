"""Writes models.json out of OpenModelDB's data:  python -m tools.write_catalogue CHECKOUT

CHECKOUT: a clone of https://github.com/OpenModelDB/open-model-database, under the GPL-3.0. Only facts are taken from it
(names, authors, licences, scales, sizes, checksums, addresses, dates); no descriptions, no pictures, no code. What a
model is for comes from its tags. Nothing is made up: a value that the data lack stays empty.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from lib_upscaler.catalogue.catalogue import FORMATS, MODELS_FILE, PURPOSES, safe_file_name
from lib_upscaler.errors import RequestError, TrueScaleError

__all__ = ["ARCHITECTURES", "CHOSEN", "TAGS", "catalogue_of", "direct_address", "main", "row_of", "text_of"]

SOURCE = {
    "name": "OpenModelDB",
    "repository": "https://github.com/OpenModelDB/open-model-database",
    "license": "GPL-3.0",
    "taken": "facts only, of a selection of models",
}

ARCHITECTURES = {
    "atd": "ATD",
    "compact": "Compact",
    "dat": "DAT",
    "drct": "DRCT",
    "esrgan": "ESRGAN",
    "hat": "HAT",
    "omnisr": "OmniSR",
    "realplksr": "PLKSR",
    "rgt": "RGT",
    "span": "SPAN",
    "srformer": "SRFormer",
    "swinir": "SwinIR",
}
"""Those of OpenModelDB that are chosen from, and what spandrel calls them. Each is one that 0.3.4 reads as well: where
our own, newer one could not be fetched (own_packages.txt), a WebUI's has to serve."""

TAGS = {
    "ai-generated": "AI pictures",
    "anime": "illustration",
    "anti-aliasing": "jagged edges",
    "cartoon": "illustration",
    "cgi": "rendered pictures",
    "compression-removal": "compression",
    "dds": "compression",
    "debanding": "banding",
    "deblur": "blur",
    "dedither": "dithering",
    "dehalftone": "printed dots",
    "dehalo": "halos",
    "denoise": "noise",
    "faces": "faces",
    "game-screenshots": "rendered pictures",
    "game-textures": "textures",
    "general-upscaler": "all kinds of pictures",
    "jpeg": "JPEG damage",
    "manga": "manga",
    "photo": "photos",
    "pixel-art": "pixel art",
    "pretrained": "base for training",
    "restoration": "restoration",
    "text": "text",
    "video-frame": "video",
}
"""Tag -> one of ``PURPOSES``."""
_NO_PURPOSE = {"research"}  # says where a model comes from, not what it is for
_IMPLIED = {
    "compression": ("JPEG damage",),
    "restoration": tuple(TAGS[tag] for tag in ("jpeg", "compression-removal", "denoise", "deblur", "dehalo"))
    + tuple(TAGS[tag] for tag in ("debanding", "dedither", "dehalftone", "anti-aliasing")),
}
"""General words, and the particular ones that say it better."""

# Well-known, of many kinds and sizes, with a preference for those that have an address of their own bytes.
CHOSEN = (
    # photos and all kinds of pictures
    *("4x-UltraSharp", "4x-UltraSharpV2", "4x-Remacri", "4x-NMKD-Superscale", "4x-NMKD-Siax-CX", "4x-ClearRealityV1"),
    *("4x-realesrgan-x4plus", "2x-realesrgan-x2plus", "4x-realesr-general-x4v3", "4x-realesr-general-wdn-x4v3"),
    *("4x-BSRGAN", "2x-BSRGAN", "4x-LSDIR", "4x-LSDIRplus", "2x-ParimgCompact"),
    *("4x-Nomos8kSC", "4x-Nomos8kSCHAT-S", "4x-Nomos8kDAT", "4x-Nomos8kHAT-L-otf"),
    *("4x-Nomos8k-atd-jpg", "4x-Nomos2-hq-dat2", "4x-Nomos2-hq-atd", "4x-Nomos2-hq-drct-l", "4x-Nomos2-otf-esrgan"),
    *("4x-NomosWebPhoto-RealPLKSR", "4x-NomosWebPhoto-esrgan"),
    *("4x-RealWebPhoto-v2-rgt-s", "4x-RealWebPhoto-v3-atd", "4x-RealWebPhoto-v4-dat2"),
    *("4x-PurePhoto-span", "4x-PurePhoto-RealPLSKR", "4x-HAT-S-SRx4", "4x-DAT-2", "2x-LiveActionV1-SPAN"),
    *("4x-realSR-BSRGAN-DFO-s64w8-SwinIR-M-x4-GAN", "4x-realSR-BSRGAN-DFOWMFC-s64w8-SwinIR-L-x4-GAN"),
    *("8x-classicalSR-DF2K-s64w8-SwinIR-M",),
    # illustration
    *("4x-realesrgan-x4plus-anime-6b", "4x-realesr-animevideo-v3", "4x-AnimeSharp", "4x-AnimeSharp-lite"),
    *("2x-AnimeSharpV3", "2x-AnimeJaNai-HD-V3-Compact", "2x-Ani4VK-v2-Compact"),
    *("4x-IllustrationJaNai-V1-ESRGAN", "4x-IllustrationJaNai-V1-DAT2", "2x-AniScale-2-Compact"),
    *("2x-ModernSpanimationV1", "4x-HFA2k", "4x-Fatal-Anime", "4x-eula-digimanga-bw-v2-nc1", "4x-Fatality-Comix"),
    # faces, text, textures
    *("4x-FaceUpDAT", "4x-Faces-04-N", "2x-Text2HD-v-1", "4x-TextureDAT2-otf", "4x-PBRify-UpscalerV4"),
    # cleaning up
    *("1x-DeJPG-realplksr-otf", "1x-DeNoise-realplksr-otf", "1x-DeH264-realplksr", "1x-ISO-denoise-v2"),
    *("1x-JPG-40-60", "1x-NMKD-Jaywreck3-Soft-Lite", "1x-MangaJPEGHQ", "1x-ReFocus-V3", "1x-Fatality-DeBlur"),
    *("1x-Bendel-Halftone", "1x-Film-Degrainer-1-000", "1x-Debandurh-FS-Ultra-lite", "2x-VHS2HD"),
)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.write_catalogue", description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path, help="a clone of OpenModelDB/open-model-database")
    checkout = parser.parse_args(words).checkout
    try:
        text = text_of(catalogue_of(checkout, commit_of(checkout)))
    except TrueScaleError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    beside = MODELS_FILE.with_suffix(".json.part")
    beside.write_text(text, encoding="utf-8", newline="\n")
    beside.replace(MODELS_FILE)
    return 0


def commit_of(checkout: Path) -> str:
    """The commit that is checked out. Raises RequestError."""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise RequestError(f"'{checkout}' is no clone of OpenModelDB", str(error), "clone it with git") from error


def catalogue_of(checkout: Path, commit: str, chosen: Sequence[str] = CHOSEN) -> dict[str, Any]:
    """All of models.json. Raises RequestError where a model is not there, or cannot be taken."""
    data = checkout / "data"
    names = _read(data / "original-model-file-names.json")
    users, architectures = _read(data / "users.json"), _read(data / "architectures.json")
    rows = []
    for identity in sorted(chosen):
        row = row_of(identity, _read(data / "models" / f"{identity}.json"), names.get(identity, ""))
        row["authors"] = [users[author]["name"] for author in row["authors"]]
        row["architecture"] = architectures[row["architecture"]]["name"]
        rows.append(row)
    return {"source": {**SOURCE, "commit": commit}, "models": _own_file_names(rows)}


def row_of(identity: str, model: dict[str, Any], original_name: str = "") -> dict[str, Any]:
    """The facts of one model; authors and architecture are still OpenModelDB's ids.

    original_name: what its file was called where it was published. Raises RequestError.
    """
    if model["architecture"] not in ARCHITECTURES:
        raise _unusable(identity, f"spandrel does not read the architecture '{model['architecture']}'")
    resource, urls = _best_resource(identity, model["resources"])
    address = unquote(urlsplit(urls[0]).path) if urls else f"{original_name or identity}"
    if not address.lower().endswith(f".{resource['type']}"):
        address = f"{address}.{resource['type']}"
    authors = model["author"]
    return {
        "id": identity,
        "name": model["name"].strip(),
        "authors": authors if isinstance(authors, list) else [authors],
        "license": model["license"] or "",
        "architecture": model["architecture"],
        "scale": model["scale"],
        "channels": [model["inputChannels"], model["outputChannels"]],
        "purposes": purposes_of(identity, model["tags"]),
        "date": model["date"],
        "file": safe_file_name(address, identity),
        "size": resource["size"],
        "sha256": resource["sha256"],
        "urls": urls,
    }


def purposes_of(identity: str, tags: Sequence[str]) -> list[str]:
    """In the order of ``PURPOSES``, without the general words where there are particular ones. Raises RequestError."""
    unknown = set(tags) - set(TAGS) - _NO_PURPOSE
    if unknown:
        raise _unusable(identity, f"its tags {', '.join(sorted(unknown))} have no words yet")
    found = {TAGS[tag] for tag in tags if tag in TAGS}
    return [word for word in PURPOSES if word in found and not found & set(_IMPLIED.get(word, ()))]


def _best_resource(identity: str, resources: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """A file that spandrel reads, and its direct addresses: one that has some, rather a .safetensors than a .pth."""
    usable = [one for one in resources if one["type"] in FORMATS and one.get("sha256") and one.get("size")]
    if not usable:
        raise _unusable(identity, "it has no .pth or .safetensors file with a size and a checksum")
    found = [(one, list(filter(None, (direct_address(url, one["type"]) for url in one["urls"])))) for one in usable]
    # A .pth file is a pickle, which a reader has to be careful with; a .safetensors file holds nothing but numbers.
    return min(found, key=lambda pair: (not pair[1], pair[0]["type"] != "safetensors"))


def direct_address(url: str, kind: str) -> str:
    """The address under which this one's bytes come, without a page in between; "" where there is none.

    kind: "pth" or "safetensors", which the address must end in: archives and pages are none.
    """
    parts = urlsplit(url)
    host, path = parts.netloc.lower(), parts.path
    if host == "huggingface.co":
        # "blob" is the page about a file, "resolve" the file: Hugging Face documents the two as the same place.
        path = path.replace("/blob/", "/resolve/", 1)
    places = {
        "github.com": ("/releases/download/", "/raw/"),
        "raw.githubusercontent.com": ("/",),
        "huggingface.co": ("/resolve/",),
        "objectstorage.us-phoenix-1.oraclecloud.com": ("/open-modeldb-files/",),  # OpenModelDB's own store
        "f002.backblazeb2.com": ("/file/",),
    }
    is_direct = any(place in path for place in places.get(host, ()))
    if parts.scheme != "https" or not is_direct or not path.lower().endswith(f".{kind}"):
        return ""
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _own_file_names(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Two models whose files are called the same get their ids as names, so that both fit into one folder."""
    names = [row["file"].casefold() for row in rows]
    for row in rows:
        if names.count(row["file"].casefold()) > 1:
            row["file"] = safe_file_name(f"{row['id']}{Path(row['file']).suffix}", row["id"])
    return rows


def text_of(catalogue: dict[str, Any]) -> str:
    """One model a line, so that a change of one is a change of one line."""
    source = json.dumps(catalogue["source"], ensure_ascii=False)
    lines = [json.dumps(row, ensure_ascii=False) for row in catalogue["models"]]
    return '{"source": %s,\n"models": [\n%s\n]}\n' % (source, ",\n".join(lines))  # noqa: UP031 - full of braces


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot read '{file}'", str(error), "clone OpenModelDB anew") from error


def _unusable(identity: str, why: str) -> RequestError:
    return RequestError(f"the model '{identity}' cannot be taken", why, "choose another one")


if __name__ == "__main__":
    raise SystemExit(main())
