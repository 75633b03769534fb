"""What a picture's file says of itself, as the history lists it. No pixel is decoded."""

from dataclasses import dataclass
from pathlib import Path

from ..metadata import read_infotext, read_parameters, tabs_of
from ..requests import MAX_PROMPT
from ..user_files import readable

MAX_VALUE = 200  # characters of a model's or a sampler's name


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A picture's size in pixels and what its parameters say; texts are empty where they do not."""

    width: int
    height: int
    prompt: str = ""
    negative_prompt: str = ""
    model: str = ""
    scheduler: str = ""
    seed: str = ""  # digits: seeds go beyond what a database counts
    kind: str = ""  # txt2img, img2img, inpaint, embeddings
    program: str = ""  # that wrote the parameters; empty for this one, and where it cannot be told


def read_facts(path: Path) -> Facts:
    """Read a picture's facts. Raise ValueError if the file is no picture.

    Parameters that cannot be read, or are too long, leave a picture without parameters.
    """
    from ..images import look_at_image  # loads numpy, which a command's help does without

    header = look_at_image(path)
    try:
        text = read_infotext(path) or ""
        reading = read_parameters(text) if text.strip() else None
    except (ValueError, OSError):
        reading = None
    if reading is None:
        return Facts(width=header.width, height=header.height)
    request = reading.request
    kinds = tabs_of(text)
    return Facts(
        width=header.width,
        height=header.height,
        prompt=_shown(reading.prompt or "", MAX_PROMPT),
        negative_prompt=_shown(reading.negative_prompt or "", MAX_PROMPT),
        model=_shown(request.model or "", MAX_VALUE),
        scheduler=_shown(" ".join(filter(None, (request.scheduler, request.schedule_type))), MAX_VALUE),
        seed="" if request.seed is None else str(request.seed),
        kind=kinds[0] if kinds else "",
        program=_shown(reading.program, MAX_VALUE),
    )


def _shown(text: str, most: int) -> str:
    return readable(text)[:most].replace("\0", "")
