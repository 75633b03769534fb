"""Record a picture's run: make it again with everything watched."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from .. import generation
from ..catalog import find_model
from ..images import open_image, open_mask
from ..metadata import parse_infotext, read_infotext, read_parameters
from ..probes.kept_recordings import RecordingFolder
from ..probes.observers import LoopStart
from ..probes.recorder import Recorder, Watch, model_stamp
from ..probes.recording import Recording
from ..probes.recording_size import check_size, size_of
from ..requests import (
    BlendRequest,
    Cancelled,
    Img2ImgRequest,
    InpaintRequest,
    PlaneRequest,
    Step,
    Txt2ImgRequest,
    Txt2ImgResult,
    WalkRequest,
)
from ..weights.model_manager import ModelManager

OnStep = Callable[[Step], None]
Announce = Callable[[int], None]  # is told the bytes of a recording before its first step

STRENGTH, HIRES = "Denoising strength", "hires"  # what tells a picture that began from another one
LOSSLESS = (".png",)


@dataclass(frozen=True, kw_only=True)
class RecordedPicture:
    """A picture recorded again, and whether it is the same one."""

    recording: Recording
    image: Image.Image  # as it was made now
    is_identical: bool  # to the byte
    sentence: str  # says so, or why not
    notes: tuple[str, ...] = ()  # what of its parameters was not taken
    recording_name: str = ""  # under which it is kept


def record(
    manager: ModelManager,
    request: Txt2ImgRequest,
    folder: RecordingFolder | None,
    *,
    watch: Watch | None = None,
    on_step: OnStep | None = None,
    announce: Announce | None = None,
) -> tuple[Recording, Image.Image, str]:
    """Make a request's one picture; return its recording, it, and the name under which that is kept.

    Raise ValueError for several pictures, or where the recording would be too large; Cancelled where on_step
    or announce raised it, since half a recording is none.
    """
    refuse_several(request)
    if isinstance(request, BlendRequest):
        request = request.picture_of(request.blended_prompt)
    watch = watch or Watch()

    def begin(start: LoopStart, watch: Watch) -> None:
        size = size_of(start, watch)
        if announce:
            announce(size)
        check_size(size, folder.folder if folder else manager.settings.cache_dir)

    recorder = Recorder(watch, on_begin=begin)
    result = make(manager, request, generation.RunOptions(on_step, 0, save=False, observers=[recorder]))
    if result.stopped:
        raise Cancelled
    if not recorder.recordings:
        raise ValueError(f"there is nothing to record: {result.notice}")
    recording = recorder.recordings[0]
    name = folder.save(recording).name if folder else ""
    return recording, result.images[0], name


def recording_size(manager: ModelManager, request: Txt2ImgRequest, watch: Watch | None = None) -> int:
    """Return the bytes that a request's recording will have; the model is loaded, no step is taken."""
    sizes: list[int] = []

    def note(size: int) -> None:
        sizes.append(size)
        raise Cancelled

    try:
        record(manager, request, None, watch=watch, announce=note)
    except Cancelled:
        return sizes[0]
    raise AssertionError("no batch began")


def make(manager: ModelManager, request: Txt2ImgRequest, options: generation.RunOptions) -> Txt2ImgResult:
    """Make the picture of a request of any kind that has one."""
    if isinstance(request, InpaintRequest):
        return generation.inpaint(manager, request, options)
    if isinstance(request, Img2ImgRequest):
        return generation.img2img(manager, request, options)
    return generation.txt2img(manager, request, options)


def refuse_several(request: Txt2ImgRequest) -> None:
    """Raise ValueError for a request of several pictures."""
    if isinstance(request, WalkRequest | PlaneRequest):
        raise ValueError(
            "a recording is of one picture, and this request makes several (record one of its frames)"
        )
    if request.num_images != 1:
        raise ValueError(
            f"num_images must be 1 to be recorded, got {request.num_images} (picture k is made alone by seed"
            " + k)"
        )


def record_again(
    manager: ModelManager,
    request: Txt2ImgRequest,
    picture: Image.Image,
    folder: RecordingFolder | None,
    *,
    reasons: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    **options: object,
) -> RecordedPicture:
    """Record a request and compare its picture with the one it is said to have made.

    `reasons` are what may have made another one of it, the likeliest first.
    """
    recording, image, name = record(manager, request, folder, **options)  # type: ignore[arg-type]
    identical, sentence = compare(image, picture, (*reasons, why_other_device(recording)))
    return RecordedPicture(
        recording=recording,
        image=image,
        is_identical=identical,
        sentence=sentence,
        notes=notes,
        recording_name=name,
    )


def compare(made: Image.Image, picture: Image.Image, reasons: tuple[str, ...]) -> tuple[bool, str]:
    """Tell whether two pictures are the same to the byte, and say so, or how far apart they are and why."""
    if made.size != picture.size:
        sizes = f"{made.width}x{made.height} instead of {picture.width}x{picture.height}"
        return False, f"The picture made again has another size: {sizes}. {reasons[0]}"
    a, b = (np.asarray(one.convert("RGB")).astype(np.int16) for one in (made, picture))
    apart = np.abs(a - b)
    if not apart.any():
        return True, "The picture was made again and is the same to the byte: this is how it came about."
    share = 100 * float((apart > 0).mean())
    shown = "less than 0.1" if share < 0.1 else f"{share:.1f}"
    return False, (
        f"The picture made again is not the same to the byte: {shown} % of its values differ, by at most"
        f" {apart.max()} of 255. {reasons[0]}"
    )


def why_other_device(recording: Recording) -> str:
    """Say what else rounds otherwise, where nothing is known to have changed."""
    facts = recording.facts
    return (
        f"It was made on another device or in another format than {facts.dtype} on {facts.device}, or"
        " together with others, or the model's file has changed."
    )


def record_picture(
    manager: ModelManager,
    path: Path,
    folder: RecordingFolder | None,
    *,
    init_image: Image.Image | None = None,
    mask_image: Image.Image | None = None,
    **options: object,
) -> RecordedPicture:
    """Read the request in a picture's file, run it again and compare; see Studio.record_picture."""
    picture = open_image(path)
    request, program, notes = read_request(path, init_image=init_image, mask_image=mask_image)
    reasons = tuple(filter(None, [program, *why_changed(manager, request, path)]))
    return record_again(manager, request, picture, folder, reasons=reasons, notes=notes, **options)


def read_request(
    path: Path, *, init_image: Image.Image | None = None, mask_image: Image.Image | None = None
) -> tuple[Txt2ImgRequest, str, tuple[str, ...]]:
    """Return a picture file's request, a sentence if another program made it, and what was not taken.

    Raise ValueError where it holds no parameters, or began from a picture that is not given.
    """
    text = read_infotext(path)
    if text is None:
        raise ValueError(
            f"{path.name} holds no parameters, so it cannot be made again (choose a picture as it was saved,"
            " not a copy that a messenger or an editor wrote)"
        )
    info = parse_infotext(text)
    began = STRENGTH in info.fields and not any(key.lower().startswith(HIRES) for key in info.fields)
    pictures: dict[str, Image.Image] = {}
    if began:
        if init_image is None:
            raise ValueError(
                f"{path.name} began from another picture, which its file does not hold (give that one as"
                " init_image, and for an inpainting its mask as mask_image)"
            )
        pictures = {"init_image": init_image} | ({"mask_image": mask_image} if mask_image else {})
    kind = _kind_of(pictures)
    reading = read_parameters(text, kind, **pictures)
    if reading.prompt is None:
        raise ValueError(" ".join(reading.notes))
    program = ""
    if not info.is_ours:
        name = info.program or "another program"
        program = f"It was made by {name}, whose samplers and noise are not the same to the bit."
    if reading.request.seed is None:
        program = "Its parameters name no seed, so the noise differs."
    return reading.request, program, tuple(reading.notes)


def _kind_of(pictures: Mapping[str, Image.Image]) -> type[Txt2ImgRequest]:
    if "mask_image" in pictures:
        return InpaintRequest
    return Img2ImgRequest if pictures else Txt2ImgRequest


def why_changed(manager: ModelManager, request: Txt2ImgRequest, path: Path) -> list[str]:
    """Say what is known to have changed since a picture's file was written.

    Raise ValueError if the model is not here.
    """
    info = find_model(manager.settings, request.model)
    reasons = []
    if path.suffix.lower() not in LOSSLESS:
        reasons.append(f"{path.suffix.lstrip('.').upper()} files do not keep the pixels as they were made.")
    written = path.stat().st_mtime_ns
    changed = [time for _, _, time in model_stamp(info) if time > written]
    if changed:
        day = datetime.fromtimestamp(max(changed) / 1e9).date()
        reasons.append(f"The file of the model {info.name} is younger than the picture: it is of {day}.")
    return reasons


def open_given(
    init_image: Image.Image | str | Path | None, mask_image: Image.Image | str | Path | None
) -> dict[str, Image.Image]:
    """Open those pictures that are given as files."""
    opened: dict[str, Image.Image] = {}
    if init_image is not None:
        opened["init_image"] = init_image if isinstance(init_image, Image.Image) else open_image(init_image)
    if mask_image is not None:
        opened["mask_image"] = mask_image if isinstance(mask_image, Image.Image) else open_mask(mask_image)
    return opened
