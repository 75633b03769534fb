"""A request inside its picture: the text, the files that carry it, and where they lie."""

from .carriers import read_infotext
from .files import png_bytes, save_beside, save_image, write_bytes, write_png
from .infotext import EXACT_PROMPTS, Infotext, from_infotext, parse_infotext, to_infotext
from .listing import list_outputs

__all__ = [
    "EXACT_PROMPTS",
    "Infotext",
    "from_infotext",
    "list_outputs",
    "parse_infotext",
    "png_bytes",
    "read_infotext",
    "save_beside",
    "save_image",
    "to_infotext",
    "write_bytes",
    "write_png",
]
