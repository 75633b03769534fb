"""What the result block shows of a picture besides itself: other views, its drift, what it began with."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ...requests import (
    Drift,
    DriftReport,
    Img2ImgRequest,
    Img2ImgResult,
    InpaintResult,
    Txt2ImgResult,
    WalkResult,
)
from .components import ServedFile
from .files import PictureFiles, exact
from .frames import caption
from .result_values import DriftValue, ImageEntry, StartPicture, View

# What inpainting saves beside a picture: the end of its file's name -> label and title.
COMPANIONS = {
    "raw": ("Raw", "As the model returned it, before the mask was applied"),
    "roundtrip": ("VAE round trip", "Your picture encoded and decoded, with nothing repainted"),
}
MAX_START, MAX_LABEL = 2, 200  # pictures a run began with, characters below each
MADE_INPUT, MADE_RAW_DRIFT, MADE_DRIFT = "input", "drift-raw", "drift"
HEAT = "How far each kept pixel changed, of 255. Black: not at all. Brighter: more. Grey: redrawn."
# What is made for the page and saved nowhere else: the end of a file's name -> label and title.
MADE = {
    MADE_INPUT: ("Input", "The picture you gave"),
    MADE_RAW_DRIFT: ("Drift of raw", HEAT),
    MADE_DRIFT: ("Drift of result", HEAT),
}


def entries(result: Txt2ImgResult, files: PictureFiles) -> list[ImageEntry]:
    """Return the gallery of a result, one entry a picture."""
    if not result.paths:  # nothing was made, so nothing was saved
        shown = [(files.picture(image, "unchanged.png"), "unchanged.png") for image in result.images]
    else:
        shown = [(files.file(path), path.name) for path in result.paths]
    known = zip(shown, result.infotexts, result.seeds, strict=True)
    pictures: list[ImageEntry] = [
        {
            "file": file,
            "name": name,
            "seed": exact(seed),
            "infotext": infotext,
            "caption": caption(result, index),
            "views": _views(result, index, name.removesuffix(".png"), files),
            "drift": _drift(result, index),
            "look": files.made.token_of(result.paths[index]) if result.paths else "",
        }
        for index, ((file, name), infotext, seed) in enumerate(known)
    ]
    return pictures + _jump_entries(result, files)


def _jump_entries(result: Txt2ImgResult, files: PictureFiles) -> list[ImageEntry]:
    """Return the two pictures either side of a walk's narrowed jump."""
    paths = jump_paths(result)
    if not paths:
        return []
    assert isinstance(result, WalkResult) and result.jump  # noqa: PT018 - one thought
    places = (result.jump.t_left, result.jump.t_right)
    return [
        {**read_entry(path, files), "caption": f"t = {t:.6g}"} for path, t in zip(paths, places, strict=True)
    ]


def jump_paths(result: Txt2ImgResult) -> tuple[Path, ...]:
    """Return the files of the two pictures either side of a walk's narrowed jump; none if it has none."""
    jump = result.jump if isinstance(result, WalkResult) else None
    return (jump.left_path, jump.right_path) if jump and jump.left_path and jump.right_path else ()


def read_entry(path: Path, files: PictureFiles) -> ImageEntry:
    """Return the gallery entry of a saved picture by what lies in the outputs folder."""
    return {**files.read_entry(path), "views": _companions(path, files)}


def start_of(result: Txt2ImgResult, files: PictureFiles) -> list[StartPicture]:
    """Return the pictures a run began with, to be shown folded below the result."""
    if not isinstance(result, Img2ImgResult) or not result.start_images:
        return []
    pictures = [
        ("The picture, encoded and decoded: what the model can see of it", result.start_images[0]),
        (
            f"With noise for the last {_steps(result)} steps: the latents the run started from",
            result.noised_start,
        ),
    ]
    return [{"label": label, "file": files.picture(image)} for label, image in pictures if image]


def _steps(result: Img2ImgResult) -> str:
    request = result.request
    assert isinstance(request, Img2ImgRequest)
    return f"{request.steps_run} of {request.num_inference_steps}"


def _views(result: Txt2ImgResult, index: int, stem: str, files: PictureFiles) -> list[View]:
    """Return the other views of picture `index`; files made for them are named after `stem`."""

    def view(end: str, image: Image.Image) -> View:
        return _made(end, stem, files.picture(image, f"{stem}-{end}.png"))

    views = _companions(result.paths[index], files) if result.paths else []
    if isinstance(result, Img2ImgResult) and result.input_image:
        views.append(view(MADE_INPUT, result.input_image))
    if isinstance(result, InpaintResult) and index < len(result.drifts):
        report = result.drifts[index]
        views.append(view(MADE_RAW_DRIFT, report.raw_heat))
        views.append(view(MADE_DRIFT, report.composite_heat))
    return views


def _made(end: str, stem: str, file: ServedFile) -> View:
    """Return a view that was made for the page, of the picture whose file is called `stem`."""
    label, title = MADE[end]
    view: View = {"label": label, "title": title, "name": f"{stem}-{end}.png", "file": file}
    if end == MADE_INPUT:
        return {**view, "is_input": True}
    return {**view, "scale": scale_of_drift()} if end in (MADE_RAW_DRIFT, MADE_DRIFT) else view


def scale_of_drift() -> list[list[str]]:
    """Return the scale of a drift map: what each colour means, and the colour as CSS."""
    from ...pictures.drift import heat_scale

    return [[text, "rgb({} {} {})".format(*color)] for text, color in heat_scale()]


def keep_views(images: Sequence[ImageEntry]) -> list[dict[str, str]]:
    """Return what the browser shall keep of each picture's views that lie in no folder of the owner's."""
    ends = {label: end for end, (label, _) in MADE.items()}
    return [
        {ends[v["label"]]: v["file"]["path"] for v in image.get("views", ()) if v["label"] in ends}
        for image in images
    ]


def add_views(images: Sequence[ImageEntry], kept: object, files: PictureFiles) -> list[ImageEntry]:
    """Return a gallery with the views kept of it that are still there. Nothing kept is trusted.

    If a picture has gone, nothing kept fits the others any more.
    """
    if not isinstance(kept, list) or len(kept) != len(images):
        return list(images)
    return [_with_views(image, known, files) for image, known in zip(images, kept, strict=True)]


def _with_views(image: ImageEntry, known: object, files: PictureFiles) -> ImageEntry:
    if not isinstance(known, dict):
        return image
    stem = image["name"].removesuffix(".png")
    again = ((end, files.again(known.get(end))) for end in MADE)
    made = [_made(end, stem, file) for end, file in again if file]
    return {**image, "views": [*image.get("views", ()), *made]}


def keep_start(start: Sequence[StartPicture]) -> list[list[str]]:
    """Return what the browser shall keep of the pictures a run began with."""
    return [[picture["label"], picture["file"]["path"]] for picture in start]


def read_start(kept: object, files: PictureFiles) -> list[StartPicture]:
    """Return those that are still there. Nothing kept is trusted."""
    found: list[StartPicture] = []
    for entry in kept[:MAX_START] if isinstance(kept, list) else []:
        match entry:
            case [str(label), path] if file := files.again(path):
                found.append({"label": label[:MAX_LABEL], "file": file})
    return found


def _drift(result: Txt2ImgResult, index: int) -> DriftValue | None:
    if not isinstance(result, InpaintResult) or index >= len(result.drifts):
        return None
    return drift_value(result.drifts[index])


def _companions(path: Path, files: PictureFiles) -> list[View]:
    views: list[View] = []
    for end, (label, title) in COMPANIONS.items():
        beside = path.with_stem(f"{path.stem}-{end}")
        if beside.is_file():
            views.append({"label": label, "title": title, "file": files.file(beside), "name": beside.name})
    return views


def drift_value(report: DriftReport) -> DriftValue:
    """Return the drift report as the result block writes it."""
    share = f"{100 * report.vae_share:.0f} %"
    return {
        "rows": [
            ["Raw picture", *_numbers(report.raw)],
            ["Result", *_numbers(report.composite)],
            ["VAE alone", *_numbers(report.roundtrip)],
        ],
        "cause": _cause(report, share),
        "seam": [
            ["In your picture", f"{report.seam_input:.1f}"],
            ["Mask applied, nothing softened", f"{report.seam_before:.1f}"],
            ["Result", f"{report.seam_after:.1f}"],
        ],
    }


def _cause(report: DriftReport, share: str) -> str:
    if not report.raw.maximum:
        return "Nothing outside the mask had changed."
    kept = "The result's kept pixels are yours, to the byte." if not report.composite.maximum else ""
    return f"The VAE alone explains {share} of what the raw picture changed outside the mask. {kept}".strip()


def _numbers(drift: Drift) -> list[str]:
    return [f"{drift.mean:.2f}", str(drift.maximum), f"{100 * drift.changed_share:.1f} %"]
