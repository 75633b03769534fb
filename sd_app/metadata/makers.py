"""Which kinds of job make pictures such as one whose parameters were read, each named by its tab."""

from ..requests import Img2ImgRequest, InpaintRequest, Txt2ImgRequest, take_apart
from .infotext import parse_infotext

# The requests that hold what such pictures say of themselves. A blend's picture says what it is as a prompt.
REQUEST_OF: dict[str, type[Txt2ImgRequest]] = {
    "txt2img": Txt2ImgRequest,
    "img2img": Img2ImgRequest,
    "inpaint": InpaintRequest,
    "embeddings": Txt2ImgRequest,
}
STRENGTH = "denoising strength"
HIRES = ("hires", "hr_")  # AUTOMATIC1111's second pass has a strength too, and begins from no picture
MASKED = ("mask", "inpaint", "outpaint", "soft mask", "soft inpaint")


def tabs_of(infotext: str) -> tuple[str, ...]:
    """Return the ids of the tabs that make such pictures, the likeliest first; none if that cannot be told.

    A picture from a picture says its strength; that it was inpainted only some settings say, and not always.
    """
    try:
        info = parse_infotext(infotext)
    except ValueError:
        return ()
    if not info.fields:
        return ()
    keys = {key.casefold(): value for key, value in info.fields.items()}
    if any(key.startswith(MASKED) for key in keys):
        return ("inpaint",)
    # ComfyUI writes a strength of 1 for pictures that begin from nothing.
    has_start = STRENGTH in keys and (info.is_ours or keys[STRENGTH].strip() not in ("1", "1.0"))
    if has_start and not any(key.startswith(HIRES) for key in keys):
        return ("img2img", "inpaint")
    return ("embeddings", "txt2img") if info.is_ours and _is_blend(info.prompt) else ("txt2img",)


def _is_blend(prompt: str) -> bool:
    if "{" not in prompt:
        return False
    try:
        take_apart(prompt)
    except ValueError:
        return False
    return True
