"""A request inside its picture: the text, the files that carry it, and where they lie."""

from .carriers import read_infotext
from .files import png_bytes, save_beside, save_image, write_bytes, write_png
from .foreign import Infotext, file_name
from .infotext import parse_infotext, to_infotext
from .kinds import tabs_of
from .listing import list_outputs
from .reading import Reading, Untaken, from_infotext, read_parameters
from .settings_text import EXACT_PROMPTS

__all__ = [
    "EXACT_PROMPTS",
    "Infotext",
    "Reading",
    "Untaken",
    "file_name",
    "from_infotext",
    "list_outputs",
    "parse_infotext",
    "png_bytes",
    "read_infotext",
    "read_parameters",
    "save_beside",
    "save_image",
    "tabs_of",
    "to_infotext",
    "write_bytes",
    "write_png",
]
