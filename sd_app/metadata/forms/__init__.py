"""The forms in which other programs keep parameters, a file each, all read into one shape.

sd-parsers was tried in their place and left aside: no release for long, pictures that make it raise, half of
these forms missing.
"""

import json
from collections.abc import Callable

from ..bounded_json import UnreadableFormError, load_json
from ..foreign import Infotext
from ..settings_text import holds_settings
from . import comfyui, draw_things, easy_diffusion, fooocus, invokeai, novelai, plain, swarmui

Reader = Callable[[dict[str, object]], Infotext | None]
# The first that knows an object reads it.
_READERS: tuple[Reader, ...] = (
    swarmui.read,
    invokeai.read,
    novelai.read,
    comfyui.read,
    draw_things.read,
    fooocus.read,
    easy_diffusion.read,
    plain.read,
)
# Keywords of PNG's texts that belong together.
CARRIED_AS_JSON = (invokeai.KEYWORDS, novelai.KEYWORDS, comfyui.KEYWORDS)
EASY_DIFFUSION_NAMES = easy_diffusion.NAMES


def read_form(text: str) -> Infotext | None:
    """Read another program's JSON, or its form of text; None if it is none that differs from AUTOMATIC1111's.

    Raise ValueError for JSON of a form that is not known, UnreadableFormError for what is nested too deeply.
    """
    text = text.strip("\ufeff \t\r\n")
    if found := easy_diffusion.read_text(text) or invokeai.read_command(text):
        return found
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]"):
        return None
    try:
        value = load_json(text)
    except UnreadableFormError:
        if holds_settings(text):  # thousands of brackets in a prompt
            return None
        raise
    if isinstance(value, list):
        value = next((one for one in value if isinstance(one, dict)), None)
    if not isinstance(value, dict) or not value:
        return None
    for read in _READERS:
        if found := read(value):
            return found
    names = ", ".join(json.dumps(str(key), ensure_ascii=False)[1:-1][:30] for key in list(value)[:6])
    raise ValueError(f"the parameters are JSON of a form that this app does not know (it holds {names})")


def knows_form(text: str) -> bool:
    """Tell whether a text is another program's JSON, one of the known forms."""
    try:
        return read_form(text) is not None
    except UnreadableFormError:
        return True
    except ValueError:
        return False


__all__ = ["CARRIED_AS_JSON", "EASY_DIFFUSION_NAMES", "knows_form", "read_form"]
