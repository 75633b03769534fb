"""The result block: progress, preview, pictures and what to do with them, in one place.

It is one custom component, because the preview must stand where the picture will, small pictures must be
enlarged without blur, and the pictures must stay the saved files. Its value is a ResultValue.
"""

import base64
import io
from collections.abc import Sequence

import gradio as gr
from PIL import Image

from ...checkpoints.model_info import ModelInfo
from ...queue import JobNow
from ...requests import DownloadProgress, InpaintResult, Step, Txt2ImgRequest, Txt2ImgResult
from ...requests.running import LINEAR_PREVIEW, OWN_PREVIEW, TAESD_PREVIEW
from .result_values import Frames, ImageEntry, JobValue, ResultValue, StartPicture
from .scripts import UI, script_of
from .studio_protocol import PageSettings

SMALL_SIDE = 256  # pixels; a model made for less gets the line on full-size pictures
PREVIEW_SIDE = 256

PREVIEW_NOTES = {
    LINEAR_PREVIEW: "Rough preview: only the colours of the latents, at an eighth of the picture's size.",
    TAESD_PREVIEW: "Preview decoded by TAESD: close to the picture, without its finest details.",
    OWN_PREVIEW: "Preview: what the picture would be at this step, by a small decoder made for this model.",
}

EMPTY: ResultValue = {
    "phase": "empty",
    "text": "",
    "detail": "",
    "fraction": 0,
    "preview": None,
    "size": None,
    "images": [],
    "selected": 0,
    "start": [],
    "notice": "",
    "note": "",
    "frames": None,
}
TARGETS = (
    ("txt2img", "Text to image"),
    ("img2img", "Image to image"),
    ("inpaint", "Inpaint"),
    ("interrogate", "Interrogate"),
)


def result_block(name: str, *classes: str) -> gr.HTML:
    """Make the result block of the tab of this name.

    It triggers `reuse`, `use_seed`, `look`, and `send_NAME` for each other tab of TARGETS.
    """
    return job_block(name, EMPTY, "shared/result", "reuse", "use_seed", "look", classes=classes)


def job_block(name: str, value: JobValue, files: str, *events: str, classes: tuple[str, ...] = ()) -> gr.HTML:
    """Make a component of FILES.html and FILES.js that shows a job of the tab of this name; see job.js.

    It triggers `events`, and `send_NAME` for each other tab of TARGETS.
    """
    targets = {f"send_{target}": label for target, label in TARGETS if target != name}
    return gr.HTML(
        value=value,
        html_template=(UI / f"{files}.html").read_text(encoding="utf-8"),
        js_on_load=script_of(f"{files}.js", *events, *targets, sendTo=list(targets.items())),
        apply_default_css=False,
        elem_classes=["result-block", *classes],
    )


def preview_note(step: Step) -> str:
    """Say how a step's preview was drawn, "" if that is not known."""
    return PREVIEW_NOTES.get(step.preview_by, "")


def waiting(now: JobNow) -> ResultValue:
    """Draw a job that waits."""
    return {**EMPTY, "phase": "waiting", "text": now.waiting_text}


def begun() -> ResultValue:
    """Draw a job that runs and has not told anything yet."""
    return {**EMPTY, "phase": "running", "text": "Starting"}


def running(
    step: Step, request: Txt2ImgRequest, images: Sequence[ImageEntry], preview: str | None, note: str = ""
) -> ResultValue:
    """Draw a running job. `images` are the finished pictures' gallery entries, `note` is on the preview."""
    return {
        **EMPTY,
        "phase": "running",
        "text": f"{step.text} {_which(step)}".rstrip(),
        "detail": progress_detail(step),
        "fraction": round(step.fraction, 3),
        "preview": preview,
        "size": _preview_size(step, request),
        "images": images,
        "selected": max(0, len(images) - 1),
        "note": note,
    }


def _which(step: Step) -> str:
    """Return which pictures of several are being made: "5–8 of 20"."""
    first = step.image_index + 1
    last = min(step.image_index + step.batch_images, step.num_images)
    if step.num_images == 1 or first > step.num_images or not step.step:
        return ""
    return f"{first} of {step.num_images}" if first == last else f"{first}–{last} of {step.num_images}"


def _preview_size(step: Step, request: Txt2ImgRequest) -> list[int] | None:
    """Return width and height of what the preview shows: one picture, or a batch in two columns."""
    if request.width is None or request.height is None:
        return None
    columns = min(2, step.batch_images)
    return [request.width * columns, request.height * -(-step.batch_images // columns)]


def progress_detail(step: Step) -> str:
    """Return step, speed and time left in a few words."""
    if step.download:
        return download_text(step.download)
    if not step.step:
        return ""
    parts = [f"step {step.step} of {step.num_steps}"]
    if step.steps_per_second:
        parts.append(f"{step.steps_per_second:.1f} it/s")
    if step.eta_seconds is not None:
        parts.append(f"{duration(step.eta_seconds)} left")
    return " · ".join(parts)


def download_text(progress: DownloadProgress) -> str:
    """Return bytes, rate and time left of a download."""
    eta = progress.eta_seconds
    return progress.amount + (f", {duration(eta)} left" if eta is not None else "")


def finished(
    result: Txt2ImgResult,
    images: Sequence[ImageEntry],
    note: str,
    *,
    start: list[StartPicture],
    frames: Frames | None,
) -> ResultValue:
    """Draw a finished or stopped job. `start` is what it began with, `frames` what a walk or plane has."""
    count = f"{len(result.images)} picture{'' if len(result.images) == 1 else 's'}"
    text = f"{count} in {duration(result.seconds)}"
    if result.stopped:
        text = f"Stopped. {count} of {result.request.num_pictures} finished in {duration(result.seconds)}"
    unpainted = isinstance(result, InpaintResult) and not result.drifts and not result.stopped
    return {
        **EMPTY,
        "phase": "stopped" if result.stopped else "done",
        "text": "Nothing was repainted" if unpainted else text,
        "fraction": 1,
        "images": images,
        "notice": result.notice,
        "note": note,
        "start": start,
        "frames": frames,
    }


def size_note(model: ModelInfo | None, settings: PageSettings) -> str:
    """Return the line below a small model's pictures: who made them, and how to get larger ones."""
    if model is None or model.native_size > SMALL_SIDE:
        return ""
    side = model.native_size
    made = f"{model.name} makes {side} × {side} pictures, enlarged here without blur."
    if settings.mode != "local":
        return made
    return (
        f"{made} For full size, put a Stable Diffusion checkpoint into {settings.models_folder},"
        " a .safetensors file or a diffusers folder, or press Add a model."
    )


def preview_url(image: Image.Image) -> str:
    """Return a small picture as a data URL, so that previews leave no files behind."""
    small = image.convert("RGB")
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)  # ten times quicker than WebP
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def duration(seconds: float) -> str:
    """Return 0.8 s, 12 s, 3:05 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
