"""HTTP endpoints with the request's own field names, for gradio_client and curl."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any, get_args, get_type_hints

import gradio as gr

from ..images import open_image, open_mask
from ..requests import (
    MAX_MATCHES,
    BlendRequest,
    BlendResult,
    DriftReport,
    FramesResult,
    Img2ImgRequest,
    InpaintRequest,
    InpaintResult,
    InterrogateRequest,
    InterrogateResult,
    Jump,
    MatchRequest,
    MatchResult,
    PlaneRequest,
    RankedPhrase,
    Score,
    Txt2ImgRequest,
    Txt2ImgResult,
    WalkRequest,
    WalkResult,
)
from .shared.errors import words
from .shared.files import PictureFiles
from .shared.form import build_request
from .shared.gpu import borrow_call, borrow_gpu
from .shared.job_queue import JobQueue, stream

RETURNS = (
    "A seed of -1 is a random one; picture k has seed + k. What is left out takes the model's default.\n"
    'Returns {"images": PNG files with their parameters inside, "seeds", "infotexts", "seconds"}'
)
ENDPOINTS: dict[str, tuple[type[Any], str]] = {
    "txt2img": (Txt2ImgRequest, f"Make pictures of a prompt.\n\n{RETURNS}."),
    "img2img": (
        Img2ImgRequest,
        f"Make pictures from a picture: init_image is an uploaded file.\n\n{RETURNS}.",
    ),
    "inpaint": (
        InpaintRequest,
        "Repaint the white part of mask_image in init_image; both are uploaded files of one size.\n\n"
        f'{RETURNS}, and "raw_images", "roundtrip_image", "drifts", "notice".',
    ),
    "interrogate": (
        InterrogateRequest,
        "Find the words that raise the CLIP similarity to image, an uploaded file.\n\n"
        'caption is what the prompt begins with: leave it out to have it written, "" for nothing.\n'
        'Returns {"prompt", "caption", "similarity", "percentile", "chance", "steps", "groups", "clip_model",'
        ' "seconds", "notice"}.',
    ),
    "match": (
        MatchRequest,
        "Compare images, up to 12 uploaded files, with up to 12 texts.\n\n"
        'Returns {"cosines", "percentiles", "chances", "text_chances", "image_chances": a row an image and a'
        ' column a text, "scale",'
        ' "clip_model", "seconds"}.',
    ),
    "blend": (
        BlendRequest,
        "Make the picture of an expression such as cat + 0.43*tabby, put where the prompt has {}.\n\n"
        f'{RETURNS}, and "near": for each row of the slot the tokens nearest to it.',
    ),
    "walk": (
        WalkRequest,
        "Make the pictures on the way from one expression to another, on one noise.\n\n"
        f'{RETURNS}, and "ts", "prompts", "film", "strip", "sheet", "plot", "distances", "parted", "kinds",'
        ' "jump".',
    ),
    "plane": (
        PlaneRequest,
        "Make a grid of pictures on one noise: rows from a to b, columns along a direction.\n\n"
        f'{RETURNS}, and "prompts", "sheet".',
    ),
}

# A picture comes as a file's description, as clients send it. Lists arrive as such.
PICTURE_HINTS: dict[str, Any] = {
    "init_image": dict,
    "mask_image": dict | None,
    "image": dict,
    "images": list[dict],
    "texts": list[str],
    "groups": list[str] | None,
}


def publish_api(studio: Any, queue: JobQueue, files: PictureFiles) -> None:
    """Add an endpoint for each of MAKERS, /models and /tokens to the page being built."""

    def models() -> list[dict[str, Any]]:
        """List the models with native size and default steps, guidance and scheduler."""
        return [describe(model) for model in studio.models()]

    def tokens(prompt: str, model: str | None = None) -> dict[str, Any]:
        """Cut a prompt into the model's tokens and 75-token chunks.

        "rows" are all that the model reads, start mark, end mark and padding too; a single window of 77 rows
        would keep "kept" tokens and cut the others.
        """

        def report() -> dict[str, Any]:
            text = _text(prompt)
            return _report(studio.tokens(text, model)) | _table(studio.token_table(text, model))

        return told(studio, report)

    for name in ENDPOINTS:
        # The queue lets one job run at a time; Gradio shall not hold jobs back before they stand in it.
        gr.api(job_endpoint(name, studio, queue, files), api_name=name, concurrency_limit=None)
    gr.api(models, api_name="models")
    gr.api(tokens, api_name="tokens")


def told(studio: Any, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what the call returns; whatever happens, the client gets words."""
    try:
        return call()
    except Exception as error:
        raise gr.Error(words(error, studio.settings.mode), print_exception=False) from error


def job_endpoint(
    name: str, studio: Any, queue: JobQueue, files: PictureFiles
) -> Callable[..., dict[str, Any]]:
    """Return the function of an endpoint; its parameters are the fields of the request."""
    request_type, about = ENDPOINTS[name]
    make = _borrow(studio, name)
    parameters = _parameters(request_type)

    def endpoint(browser: gr.Request, *given: Any) -> dict[str, Any]:
        values = dict(zip(parameters, given, strict=True))

        def call() -> dict[str, Any]:
            pictures = _open_pictures(values, files, studio.settings.max_pixels)
            request = build_request({**values, **pictures}, request_type)
            return _answer(_run(queue, str(browser.session_hash), partial(make, request)), files)

        return told(studio, call)

    browser = inspect.Parameter("browser", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    signature = inspect.Signature([browser, *parameters.values()], return_annotation=dict[str, Any])
    endpoint.__signature__ = signature  # type: ignore[attr-defined]
    endpoint.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    endpoint.__annotations__["return"] = dict[str, Any]
    endpoint.__doc__ = about
    endpoint.__name__ = name
    return endpoint


def _borrow(studio: Any, name: str) -> Callable[..., Any]:
    """Return what makes a result of (request, on_step)."""
    if name != "match":
        return borrow_gpu(studio, name)
    call = borrow_call(studio, name)
    return lambda request, on_step: call(request)


def _parameters(request_type: type[Any]) -> dict[str, inspect.Parameter]:
    """Return a parameter per field; a picture is a file's description, as clients send it."""
    hints = get_type_hints(request_type)
    found = {}
    for field in fields(request_type):
        hint = PICTURE_HINTS.get(field.name, hints[field.name])
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


def _open_pictures(values: dict[str, Any], files: PictureFiles, max_pixels: int) -> dict[str, Any]:
    """Open the uploaded files of a call; one that is not given stays out."""
    opened: dict[str, Any] = {}
    for name in ("init_image", "mask_image", "image"):
        if values.get(name) is not None:
            open_file = open_mask if name == "mask_image" else open_image
            opened[name] = open_file(_path(name, values[name], files), max_pixels=max_pixels)
    uploads = values.get("images")
    if isinstance(uploads, list) and len(uploads) <= MAX_MATCHES:
        # Opened when their turn comes, since there may be many.
        opened["images"] = [_path(f"images {k}", file, files) for k, file in enumerate(uploads, 1)]
    return opened


def _path(name: str, file: object, files: PictureFiles) -> Path:
    if not isinstance(file, dict) or "path" not in file:
        raise ValueError(f"{name} must be an uploaded file (with gradio_client: handle_file(PATH))")
    return files.uploaded(file["path"])


def _run(queue: JobQueue, owner: str, run: Callable[..., Any]) -> Any:
    result = None
    for event in stream(queue, owner, run):
        result = event
    if not isinstance(result, Txt2ImgResult | InterrogateResult | MatchResult) or getattr(
        result, "stopped", False
    ):
        raise ValueError("the job was stopped (send it again)")
    return result


def _answer(result: Any, files: PictureFiles) -> dict[str, Any]:
    """Return what a client gets of a result."""
    if isinstance(result, InterrogateResult):
        return _found(result)
    if isinstance(result, MatchResult):
        names = ("cosines", "text_chances", "image_chances", "scale", "clip_model")
        answer = {name: getattr(result, name) for name in names} | {"seconds": round(result.seconds, 3)}
        rarities = [[_score(score) for score in row] for row in result.scores]
        for name in ("percentile", "chance"):
            answer[f"{name}s"] = [[score[name] for score in row] for row in rarities]
        return answer
    answer = {
        "images": [files.file(path) for path in result.paths],
        "seeds": list(result.seeds),
        "infotexts": list(result.infotexts),
        "seconds": round(result.seconds, 3),
    }
    if isinstance(result, BlendResult):
        return answer | {"near": [[asdict(word) for word in row] for row in result.near]}
    if isinstance(result, FramesResult):
        return answer | _frames(result, files)
    if not isinstance(result, InpaintResult):
        return answer
    roundtrip = result.roundtrip_image
    return answer | {
        "images": answer["images"] or [files.picture(image) for image in result.images],
        "raw_images": [files.picture(image) for image in result.raw_images],
        "roundtrip_image": files.picture(roundtrip) if roundtrip else None,
        "drifts": [_drift(report) for report in result.drifts],
        "notice": result.notice,
    }


def _found(result: InterrogateResult) -> dict[str, Any]:
    """Return the words and what they are worth; a number that is not known is None."""
    groups = [
        {"name": group.name, "phrases": [{"phrase": p.phrase, **_score(p)} for p in group.phrases]}
        for group in result.groups
    ]
    return {
        "prompt": result.prompt,
        "caption": result.caption,
        **_score(result),
        "steps": [asdict(step) for step in result.steps],
        "groups": groups,
        "clip_model": result.clip_model,
        "seconds": round(result.seconds, 3),
        "notice": result.notice,
    }


def _score(score: Score | RankedPhrase) -> dict[str, float | None]:
    values = {name: getattr(score, name) for name in ("similarity", "percentile", "chance")}
    return {name: None if isnan(value) else value for name, value in values.items()}


def _frames(result: FramesResult, files: PictureFiles) -> dict[str, Any]:
    """Return what walks and planes have besides their pictures."""
    names = ("sheet", "film", "strip", "plot") if isinstance(result, WalkResult) else ("sheet",)
    paths = {name: getattr(result, f"{name}_path") for name in names}
    answer: dict[str, Any] = {name: path and files.file(path) for name, path in paths.items()}
    answer["prompts"] = list(result.prompts)
    if not isinstance(result, WalkResult):
        return answer
    answer |= {"ts": list(result.ts), "jump": result.jump and _jump(result.jump, files)}
    if divergence := result.divergence:
        answer |= {name: list(getattr(divergence, name)) for name in ("parted", "kinds")}
        answer["distances"] = divergence.distances.tolist()
    return answer


def _jump(jump: Jump, files: PictureFiles) -> dict[str, Any]:
    assert jump.left_path
    assert jump.right_path
    names = ("t_left", "t_right", "left_prompt", "right_prompt", "parted", "kind", "meaning")
    return {name: getattr(jump, name) for name in names} | {
        "left": files.file(jump.left_path),
        "right": files.file(jump.right_path),
        "distances": jump.distances.tolist(),
        "history": [list(entry) for entry in jump.history],
    }


def _drift(report: DriftReport) -> dict[str, Any]:
    """Return a drift report's numbers."""
    numbers: dict[str, Any] = {
        name: asdict(getattr(report, name)) for name in ("raw", "composite", "roundtrip")
    }
    seams = {name: getattr(report, name) for name in ("seam_input", "seam_before", "seam_after")}
    return numbers | seams | {"vae_share": report.vae_share}


def describe(model: Any) -> dict[str, Any]:
    """Return what a client needs to know of a model; no file-system path is among it."""
    return {
        "name": model.name,
        "title": model.title,
        "family": model.family,
        "native_size": model.native_size,
        "default_steps": model.default_steps,
        "default_guidance_scale": model.default_guidance_scale,
        "default_scheduler": model.default_scheduler,
        "size_bytes": model.size_bytes,
        "example_prompts": list(model.example_prompts),
    }


def _report(report: Any) -> dict[str, Any]:
    rows = [
        {"text": t.text, "id": t.id, "position": t.position, "chunk": t.chunk, "weight": t.weight}
        for t in report.tokens
    ]
    return {"count": report.count, "limit": report.limit, "num_chunks": report.num_chunks, "tokens": rows}


def _table(table: Any) -> dict[str, Any]:
    return {"rows": [asdict(row) for row in table.rows], "kept": table.kept}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"prompt must be text, got {str(value)[:60]}")
    return value
