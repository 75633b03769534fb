"""Check by drawing: what a model makes of the prompt that was found, and how like the picture that is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from ...checkpoints.model_info import ModelInfo
from ...requests import Step, Txt2ImgRequest, Txt2ImgResult
from ..shared.components import NamedFile
from ..shared.files import PictureFiles
from ..shared.studio_protocol import OnStep
from .search_results import Drawings, LabelledPicture
from .words import number

PICTURES = 4
Draw = Callable[[Txt2ImgRequest, OnStep], Txt2ImgResult]
Compare = Callable[[Image.Image, Sequence[Image.Image], str], tuple[float, ...]]
FIRST_SEED = 0  # always the same four, so that two prompts can be compared


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The pictures drawn, and the cosine of each with the person's own."""

    drawing: Txt2ImgResult
    cosines: tuple[float, ...]


def check_request(prompt: str, model: ModelInfo, max_images: int) -> Txt2ImgRequest:
    """Ask for the pictures of a prompt at the model's own defaults."""
    return Txt2ImgRequest(
        prompt=prompt, model=model.name, seed=FIRST_SEED, num_images=min(PICTURES, max_images)
    )


def check(
    draw: Draw,
    compare: Compare,
    request: Txt2ImgRequest,
    image: Image.Image,
    clip_model: str,
    on_step: OnStep,
) -> Checked:
    """Draw and compare; stopped, compare what is finished."""
    drawing = draw(request, on_step)
    return Checked(drawing=drawing, cosines=compare(image, drawing.images, clip_model))


def progress(step: Step, entry: NamedFile, preview: str | None) -> Drawings:
    """Return what the words block shows while pictures are drawn; `entry` is the picture's."""
    return {"text": step.text, "prompt": "", "images": [_yours(entry)], "preview": preview}


def drawn(checked: Checked, entry: NamedFile, files: PictureFiles) -> Drawings:
    """Return what the words block shows of the finished pictures."""
    drawing = checked.drawing
    shown = zip(drawing.paths, drawing.seeds, checked.cosines, strict=True)
    images: list[LabelledPicture] = [
        {"file": files.file(path), "label": f"{number(cosine, '.3f')} · seed {seed}"}
        for path, seed, cosine in shown
    ]
    return {
        "text": _text(checked),
        "prompt": drawing.request.prompt,
        "images": [_yours(entry), *images],
        "preview": None,
    }


def _text(checked: Checked) -> str:
    drawing, cosines = checked.drawing, checked.cosines
    if not cosines:
        return "Stopped before a picture was finished."
    mean = sum(cosines) / len(cosines)
    return (
        f"{drawing.request.model} drew “{drawing.request.prompt}”. Similarity to your picture, as CLIP sees"
        f" pictures: {number(mean, '.3f')} on average; 1 would be the same picture."
    )


def _yours(entry: NamedFile) -> LabelledPicture:
    return {"file": entry["file"], "label": "Your picture"}
