"""Where models are looked for and which one is used when nobody says. No torch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ModelNotFoundError, RequestError
from .entry import SUFFIXES
from .library import SHIPPED_MODEL, ModelLibrary

__all__ = ["MODELS_VARIABLE", "chosen_model", "model_folders"]

MODELS_VARIABLE = "TRUESCALE_MODELS"
"""Environment variable: folders of models, separated as in PATH."""

_PROJECT = Path(__file__).resolve().parents[2]


def model_folders(
    asked: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
    current: Path | None = None,
    project: Path = _PROJECT,
) -> list[Path]:
    """The folders to look for models in, best first; never empty. The model that ships lies in none of them.

    asked: by the user. Without them those of TRUESCALE_MODELS; without these ``models/ESRGAN`` and ``models/LDSR`` in
    the current folder and in the WebUI that the project is an extension of, where they exist, and the project's own
    ``models``.
    Raises RequestError where a folder asked for is not there.
    """
    for folder in asked:
        if not os.path.isdir(folder):
            raise RequestError(f"there is no folder of models '{folder}'", "", "check --models-dir")
    if asked:
        return [Path(folder) for folder in asked]
    from_environment = [Path(word) for word in environment.get(MODELS_VARIABLE, "").split(os.pathsep) if word]
    if from_environment:
        return from_environment
    roots = [(current or Path.cwd()) / "models"]
    if project.parent.name == "extensions":
        roots.append(project.parents[1] / "models")
    here = roots[0] / "ESRGAN"
    places = [root / kind for kind in ("ESRGAN", "LDSR") for root in roots]
    found = list(dict.fromkeys(place for place in places if place.is_dir()))
    if (project / "install.py").is_file():  # else it is installed as a package, which is no place for models
        found.append(project / "models")
    return found or [here]


def chosen_model(library: ModelLibrary, wanted: str | None) -> str:
    """The name or path of the model to use: the one wanted, else the one that ships with the program.

    Raises RequestError or ModelNotFoundError, in words that help to choose, where none is wanted and it is not there.
    """
    if wanted is not None:
        return wanted
    names = [entry.name for entry in library.models()]
    if SHIPPED_MODEL in names:
        return SHIPPED_MODEL
    if names:
        listed = ", ".join(f"'{name}'" for name in names[:20])
        rest = f" and {len(names) - 20} more, see the command 'models'" if len(names) > 20 else ""
        raise RequestError("no model was chosen", f"found {listed}{rest}", "choose one with --model NAME")
    raise ModelNotFoundError(
        "no model was chosen",
        f"no model was found in {', '.join(str(folder) for folder in library.folders)}",
        f"put a model file ({', '.join(SUFFIXES)}) into {library.folders[0]}, or name one with --model PATH",
    )
