"""HTTP: models, refresh, upscale and health below ``/truescale/v1``, beside the host's own API, under its password."""

import base64
import binascii
import contextlib
from pathlib import Path
from secrets import compare_digest
from typing import Any, Optional

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, Field, create_model

from ... import __version__
from ...errors import PictureReadError, RequestError
from ...fields import Place, by_key, checked, default_of, fields_of, size_of, ways_given
from ...progress import Progress
from ...request import UpscaleReport, UpscaleRequest, UpscaleResult
from .. import host
from ..host import health, hooks
from ..host.origins import is_foreign
from ..host.progress import shown_as_job
from ..host.temporary import own_folder
from ..panels import lists
from ..takeover import choices
from ..takeover.failing import as_error, status_code
from ..takeover.requests import request_of
from ..upscaling.service import service

__all__ = ["mount"]

# Annotations are evaluated here: FastAPI reads them, and the oldest hosts' Python knows no ``X | None``.

_FORMATS = ("png", "jpg", "webp", "tiff", "gif")
_FRAMES = ("all", "first")

PLACE: Place = "api"
Done = tuple[UpscaleReport, tuple[str, ...]]
"""What was done, and warnings."""


def _body() -> type[BaseModel]:
    """A picture and what to do with it: a value for each field of the table that the API has."""
    kinds = {"model": str, "choice": str, "text": str, "switch": bool}
    parts: dict[str, Any] = {
        "image": (str, Field(title="Picture", description="the file's bytes in base64, with or without data: address"))
    }
    for field in fields_of(PLACE):
        kind = kinds.get(field.kind, int if field.whole else float)
        about = Field(
            default=field.default_at(PLACE), title=field.label, description=field.about_at(PLACE) or field.unit
        )
        parts[field.at[PLACE].key] = (Optional[kind], about)
    formats = Field(
        default=None,
        title="Format of the result",
        description=f"{', '.join(_FORMATS)}; without it png, and of animations and files of several pages their own",
    )
    frames = Field(
        default="all",
        title="Frames",
        description="all of an animation, or all pages of a TIFF, where the format holds them; or the first",
    )
    return create_model("UpscaleBody", **parts, format=(Optional[str], formats), frames=(str, frames))


class UpscaleAnswer(BaseModel):
    """The result."""

    image: str = Field(title="Picture", description="the file's bytes in base64")
    format: str = Field(title="Its format")
    report: dict = Field(title="What was done", description="sizes, models, strategy, precision, seam error, seconds")
    warnings: list = Field(title="Warnings", description="in words")


class ModelItem(BaseModel):
    """An upscaler that can be chosen."""

    name: str = Field(title="Name")
    engine: str = Field(title="Who runs it", description="truescale, or webui for the host's and other extensions'")
    file: Optional[str] = Field(default=None, title="File name")


class MissingHook(BaseModel):
    """Something of the WebUI that TrueScale did not find."""

    hook: str = Field(title="Function or value")
    without: str = Field(title="What does not work without it")


class Health(BaseModel):
    """How TrueScale fares in this WebUI."""

    version: str = Field(title="Version of TrueScale")
    problem: str = Field(title="Why it cannot run", description="in words; empty where it can")
    missing: list[MissingHook] = Field(
        title="What of the WebUI was not found", description="each: hook, and what is missing without"
    )


class Failure(BaseModel):
    """What went wrong."""

    error: str = Field(title="Kind of error")
    detail: str = Field(title="In words", description="what happened, why, and what to do")


def mount(app: FastAPI) -> None:
    """Add the routes, where the host serves its own API (``--api`` or ``--nowebui``)."""
    if not (host.command_option("api", False) or host.command_option("nowebui", False)):
        return
    guarded = [Depends(_checked_origin), *([Depends(_checked_password)] if host.command_option("api_auth") else [])]
    body_type = _body()

    def upscale(body: body_type) -> Any:
        """Upscale one picture; waits for its turn in the WebUI's queue."""
        return _answer(body.dict())

    failures = {code: {"model": Failure} for code in (401, 403, 404, 409, 413, 415, 422)}
    for path, function, method, model in (
        ("models", list_models, "GET", list),
        ("refresh", refresh, "POST", list),
        ("health", look_at_itself, "GET", Health),
        ("upscale", upscale, "POST", UpscaleAnswer),
    ):
        model = list[ModelItem] if model is list else model
        app.add_api_route(
            f"/truescale/v1/{path}",
            function,
            methods=[method],
            response_model=model,
            responses=failures,
            dependencies=guarded,
            tags=["TrueScale"],
        )
    app.openapi_schema = None  # one that was made before does not know them


def _checked_password(credentials: HTTPBasicCredentials = Depends(HTTPBasic())) -> None:  # noqa: B008 - FastAPI's way
    """The host's ``--api-auth user:password,...``."""
    known = dict(pair.split(":", 1) for pair in host.command_option("api_auth").split(",") if ":" in pair)
    password = known.get(credentials.username)
    if password is None or not compare_digest(credentials.password.encode(), password.encode()):
        raise HTTPException(401, "Incorrect username or password", headers={"WWW-Authenticate": "Basic"})


def _checked_origin(request: Request) -> None:
    """A browser sends what another site's page asks for, with no word to the user: only JSON, and not from there."""
    if is_foreign(request.headers):
        raise HTTPException(403, "This was asked for by a page of another site; allow it with --cors-allow-origins")
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if request.url.path.endswith("/upscale") and kind != "application/json":
        raise HTTPException(415, "The request must be JSON: send it with the content type application/json")


def look_at_itself() -> Any:
    """Whether TrueScale can run here, and what of the WebUI it did not find."""
    lacking = [MissingHook(hook=str(hook), without=hook.without) for hook in hooks.missing()]
    return Health(version=__version__, problem=health.problem(), missing=lacking)


def list_models() -> Any:
    """All upscalers that can be chosen."""
    return [_item(name) for name in choices.names()]


def refresh() -> Any:
    """Look for new model files; all upscalers as they are then."""
    lists.refresh_models()
    return list_models()


def _item(name: str) -> dict:
    file = choices.file_of(name)
    return {"name": name, "engine": "webui" if file is None else "truescale", "file": Path(file).name if file else None}


def _answer(given: dict[str, Any]) -> Any:
    """The result, or the failure in words. given: the request by the API's names."""
    name = given["upscaler_1"] or choices.default_name()
    try:
        health.check()
        _check("format", given["format"], (None, *_FORMATS))
        _check("choice of frames", given["frames"], _FRAMES)
        request, data = _request(given), _decoded(given["image"])
        with host.queue_lock(), _as_job():
            return _upscaled(data, request, name, given["format"], given["frames"] == "all")
    except Exception as error:  # noqa: BLE001 - a client gets words, whatever it is
        known = as_error(error, name)
        content = {"error": type(known).__name__, "detail": str(known)}
        return JSONResponse(status_code=status_code(known), content=content)


def _check(name: str, value: Any, choices: tuple) -> None:
    """Raises RequestError."""
    if value not in choices:
        raise RequestError(f"there is no {name} '{value}'", "", f"use one of {', '.join(filter(None, choices))}")


def _request(given: dict[str, Any]) -> UpscaleRequest:
    """Of the sizes at most one may be given; none: the scale 4. Raises RequestError, SizeError, ModelNotFoundError."""
    values = checked(PLACE, by_key(PLACE, given))
    way = ways_given(PLACE, values)
    if way is None:
        way, values["scale"] = "Scale by", default_of("scale", "extras")
    return request_of(values, size_of(PLACE, values, way))


def _decoded(text: str) -> bytes:
    """Raises PictureReadError."""
    content = text.split(",", 1)[1] if text.startswith("data:") and "," in text else text
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PictureReadError(
            "cannot read the picture", "it is not base64", "send the file's bytes in base64"
        ) from error


@contextlib.contextmanager
def _as_job() -> Any:
    """The host's progress, Interrupt and Skip are this job's."""
    state = host.state()
    state.begin(job="truescale")
    state.job_count = 1
    try:
        yield
    finally:
        state.end()


def _upscaled(data: bytes, request: UpscaleRequest, name: str, format_name: Optional[str], all_frames: bool) -> dict:
    from ...animation import carries
    from ...pictures.formats import output_format, suffix_of
    from ...pictures.frames.kinds import kind_of_frames

    with own_folder() as folder, shown_as_job(name) as progress:
        source = Path(folder) / "picture"
        source.write_bytes(data)
        kind = kind_of_frames(source) if all_frames else None
        format_name = format_name or ("png" if kind is None else suffix_of(kind)[1:])
        result = Path(folder) / f"result.{format_name}"
        several = kind is not None and carries(output_format(result), kind)
        report, warnings = (_all_frames if several else _one_picture)(source, result, request, progress)
        written = result.read_bytes()
    return {
        "image": base64.b64encode(written).decode("ascii"),
        "format": format_name,
        "report": report.to_json(),
        "warnings": list(warnings),
    }


def _one_picture(source_file: Path, result_file: Path, request: UpscaleRequest, progress: Progress) -> Done:
    from ...pictures.reading import read_picture
    from ...pictures.writing import write_picture

    source = read_picture(source_file)
    result = service().upscale(source.image, request, progress)
    notes = write_picture(result.pixels, result_file, source.metadata)
    return result.report, (*source.warnings, *result.report.warnings, *notes)


def _all_frames(source_file: Path, result_file: Path, request: UpscaleRequest, progress: Progress) -> Done:
    """Of an animation, or all pages."""
    from ...animation import upscale_frames
    from ...pictures.frames.source import read_frames

    def enlarge(image: Any, progress: Progress) -> UpscaleResult:
        return service().upscale(image, request, progress)

    frames = read_frames(source_file)
    return upscale_frames(frames, enlarge, result_file, progress)
