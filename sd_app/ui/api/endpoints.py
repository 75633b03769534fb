"""The endpoints that run a job: their parameters are the request's own fields."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_type_hints

import gradio as gr

from ...queue import DONE, Job, JobNow, JobQueue, Kind, work_of
from ...requests import (
    BlendRequest,
    Img2ImgRequest,
    InpaintRequest,
    InsideRequest,
    InterrogateRequest,
    MatchRequest,
    PlaneRequest,
    Txt2ImgRequest,
    Txt2ImgResult,
    WalkRequest,
)
from ..shared.errors import attempt, error_text
from ..shared.files import PictureFiles
from ..shared.form import build_request
from ..shared.making_job import title_of
from ..shared.studio_protocol import Make, PageStudio
from ..shared.toasts import client_error
from ..shared.visitors import owner_of
from .answers import Answer, Result, answer_of, pictures_answer
from .clients import client_of_event
from .uploads import PICTURE_HINTS, find_pictures

Request = Txt2ImgRequest | InterrogateRequest | MatchRequest | InsideRequest
AnswerT = TypeVar("AnswerT")

HTTP = "http "  # before an endpoint's name: its kind of job, whose result is kept as an answer

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
        " What it began from is given as init_image, an inpainting's mask as mask_image; other_picture is"
        " compared with; panels names those to be shown, none means all.\n\n"
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


def answer_or_error(studio: PageStudio, call: Callable[[], AnswerT]) -> AnswerT:
    """Return what the call returns; whatever happens, the client gets words."""

    def failed(error: Exception) -> AnswerT:
        raise client_error(error_text(error, studio.settings.mode)) from error

    return attempt(call, failed)


def job_endpoint(
    name: str, studio: PageStudio, queue: JobQueue, files: PictureFiles
) -> Callable[..., Answer]:
    """Return the function of an endpoint; its parameters are the fields of the request."""
    request_type, about = ENDPOINTS[name]
    kind = Kind(
        name=kind_of(name),
        make=_make(studio, name),
        keep=partial(_answer, files),
        request_type=request_type,
        lost=partial(_lost, files),
    )
    queue.register(kind)
    parameters = parameters_of(request_type)

    def endpoint(browser: gr.Request, *given: object) -> Answer:
        values = dict(zip(parameters, given, strict=True))
        is_here = client_of_event()

        def submit() -> Job:
            request = request_of(name, values, files)
            about = line_entry(studio, request)
            return queue.submit(owner_of(browser), kind.name, request, keep=False, **about)

        return wait_for(queue, answer_or_error(studio, submit), is_here)

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


def parameters_of(request_type: type[Request]) -> dict[str, inspect.Parameter]:
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


def request_of(name: str, values: Mapping[str, object], files: PictureFiles) -> Request:
    """Return an endpoint's request of a call's values; raise ValueError for what is wrong with them."""
    return build_request({**values, **find_pictures(values, files)}, ENDPOINTS[name][0])


def kind_of(name: str) -> str:
    """Return the name that the queue knows an endpoint's jobs by."""
    return f"{HTTP}{name}"


def wait_for(queue: JobQueue, job: Job, is_here: Callable[[], bool]) -> Answer:
    """Return what a job came to; raise gr.Error if it failed, was stopped, or its client is gone.

    A job that is not to be kept ends with its client, within a step.
    """
    events = queue.follow(job)
    for now in events:
        if not is_here():
            events.close()
            raise client_error("the client is gone")
        if now is not None and now.ended:
            return answer_of_job(now)
    raise AssertionError("a job that is followed ends")


def answer_of_job(now: JobNow) -> Answer:
    """Return the answer of a job that has ended; raise gr.Error if there is none."""
    if now.state == DONE:
        return cast(Answer, now.outcome)
    raise client_error(now.failure or "the job was stopped (send it again)")


def _answer(files: PictureFiles, result: Result, job: Job) -> Answer:
    answer = answer_of(result, files)
    if isinstance(result, Txt2ImgResult):
        files.on_made(result.paths, job.owner)
    if not job.earlier:  # made before the app ended in the middle of it
        return answer
    before = pictures_answer(job.earlier, files)
    return answer | {name: [*before[name], *answer[name]] for name in before}


def _lost(files: PictureFiles, paths: tuple[Path, ...], text: str, job: Job) -> Answer:
    """Return the answer of a job that was cut off."""
    return pictures_answer(paths, files) | {"seconds": 0.0, "notice": f"{text}."}


def line_entry(studio: PageStudio, request: Request) -> dict[str, Any]:
    """Return what the line says of a request, and how much work it is."""
    if isinstance(request, Txt2ImgRequest):
        model = next((model for model in studio.models() if model.name == request.model), None)
        return {"title": title_of(request), "work": work_of(request, model)}
    return {"title": ", ".join(request.texts)[:80] if isinstance(request, MatchRequest) else ""}
