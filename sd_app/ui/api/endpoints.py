"""The endpoints that run a job: their parameters are the request's own fields."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import partial
from typing import Any, get_args, get_type_hints

import gradio as gr

from ...requests import (
    BlendRequest,
    Img2ImgRequest,
    InpaintRequest,
    InsideRequest,
    InterrogateRequest,
    MatchRequest,
    MatchResult,
    PlaneRequest,
    Txt2ImgRequest,
    WalkRequest,
)
from ..shared.errors import attempt, error_text
from ..shared.files import PictureFiles
from ..shared.form import build_request
from ..shared.job_events import result_of
from ..shared.job_queue import JobQueue, Run
from ..shared.studio_protocol import Make, PageStudio
from ..shared.toasts import client_error
from .answers import Answer, Result, answer_of
from .uploads import PICTURE_HINTS, find_pictures

Request = Txt2ImgRequest | InterrogateRequest | MatchRequest | InsideRequest

RETURNS = (
    "A seed of -1 is a random one; picture k has seed + k. What is left out takes the model's default.\n"
    'Returns {"images": PNG files with their parameters inside, "seeds", "infotexts", "seconds", "notice"}'
)
ENDPOINTS: dict[str, tuple[type[Request], str]] = {
    "txt2img": (Txt2ImgRequest, f"Make pictures of a prompt.\n\n{RETURNS}."),
    "img2img": (
        Img2ImgRequest,
        f"Make pictures from a picture: init_image is an uploaded file.\n\n{RETURNS}.",
    ),
    "inpaint": (
        InpaintRequest,
        "Repaint the white part of mask_image in init_image; both are uploaded files of one size.\n\n"
        f'{RETURNS}, and "raw_images", "roundtrip_image", "drifts".',
    ),
    "interrogate": (
        InterrogateRequest,
        "Find the words that fit image, an uploaded file, as CLIP reads it.\n\n"
        'caption is what the prompt starts with: leave it out to have it written, "" for nothing.\n'
        'Returns {"prompt", "caption", "similarity", "percentile", "chance", "steps", "findings",'
        ' "groups", "clip_model", "seconds", "notice"}. findings, of mode "true", say of each phrase its'
        " list, how many times as likely it is as the rest of that list, and what the caption says instead.",
    ),
    "match": (
        MatchRequest,
        "Compare images, up to 12 uploaded files, with up to 12 texts.\n\n"
        'Returns {"cosines", "percentiles", "chances", "text_chances", "image_chances": a row an image and a'
        ' column a text, "scale",'
        ' "clip_model", "seconds"}.',
    ),
    "inside": (
        InsideRequest,
        "Show how picture came about, an uploaded file with its request inside: it is run again and recorded."
        " What it began from is given as init_image, an inpainting's mask as mask_image; panels names those"
        " to be shown, none means all.\n\n"
        'Returns {"sentence": whether the picture made again is the same to the byte, or why not,'
        ' "is_identical", "panels": of each "name", "title", "seen", "not_shown", "formula", "exactness",'
        ' "why_not", "said" and "files" (PNG, NPZ, CSV, films), "recording_bytes", "seconds", "notice"}.',
    ),
    "blend": (
        BlendRequest,
        "Make the picture of an expression such as cat + 0.43*tabby, put where the prompt has {}.\n\n"
        f'{RETURNS}, and "near": for each row of the slot the tokens nearest to it.',
    ),
    "walk": (
        WalkRequest,
        "Make the pictures on the way from one expression to another, on one noise; with init_image, an"
        " uploaded file, each of them from that picture.\n\n"
        f'{RETURNS}, and "ts", "prompts", "film", "strip", "sheet", "plot", "distances", "parted", "kinds",'
        ' "jump".',
    ),
    "plane": (
        PlaneRequest,
        "Make a grid of pictures on one noise: rows from a to b, columns along a direction.\n\n"
        f'{RETURNS}, and "prompts", "sheet".',
    ),
}


def answer_or_error(studio: PageStudio, call: Callable[[], Answer]) -> Answer:
    """Return what the call returns; whatever happens, the client gets words."""

    def failed(error: Exception) -> Answer:
        raise client_error(error_text(error, studio.settings.mode)) from error

    return attempt(call, failed)


def job_endpoint(
    name: str, studio: PageStudio, queue: JobQueue, files: PictureFiles
) -> Callable[..., Answer]:
    """Return the function of an endpoint; its parameters are the fields of the request."""
    request_type, about = ENDPOINTS[name]
    make = _make(studio, name)
    parameters = _parameters(request_type)

    def endpoint(browser: gr.Request, *given: object) -> Answer:
        values = dict(zip(parameters, given, strict=True))

        def call() -> Answer:
            pictures = find_pictures(values, files)
            request = build_request({**values, **pictures}, request_type)
            return answer_of(_run(queue, str(browser.session_hash), partial(make, request)), files)

        return answer_or_error(studio, call)

    browser = inspect.Parameter("browser", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    signature = inspect.Signature([browser, *parameters.values()], return_annotation=Answer)
    endpoint.__signature__ = signature  # type: ignore[attr-defined]
    endpoint.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    endpoint.__annotations__["return"] = Answer
    endpoint.__doc__ = about
    endpoint.__name__ = name
    return endpoint


def _make(studio: PageStudio, name: str) -> Make:
    """Return what makes a result of (request, on_step)."""
    method: Callable[..., Any] = getattr(studio, name)
    return (lambda request, on_step: method(request)) if name == "match" else method


def _parameters(request_type: type[Request]) -> dict[str, inspect.Parameter]:
    """Return a parameter per field; a picture is a file's description, as clients send it."""
    hints = get_type_hints(request_type)
    found: dict[str, inspect.Parameter] = {}
    for field in fields(request_type):
        hint = PICTURE_HINTS.get(field.name, hints[field.name])
        if field.default is None and field.name in PICTURE_HINTS:
            hint |= None
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        if field.name == "seed":
            default = -1
        elif isinstance(field.default, tuple):
            hint, default = list[get_args(hint)[0]], list(field.default)  # type: ignore[misc]
        found[field.name] = inspect.Parameter(
            field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=hint
        )
    # Fields with a default may stand before those without in a request, but not in a call.
    return dict(sorted(found.items(), key=lambda item: item[1].default is not inspect.Parameter.empty))


def _run(queue: JobQueue, owner: str, run: Run[Result]) -> Result:
    result = result_of(queue, owner, run)
    if result is None or (not isinstance(result, MatchResult) and result.stopped):
        raise ValueError("the job was stopped (send it again)")
    return result
