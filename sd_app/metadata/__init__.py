"""A request inside its picture: the text, the files that carry it, and where they lie."""

from .all_texts import CarriedText
from .carriers import read_infotext
from .files import png_bytes, save_beside, save_image, write_bytes, write_png
from .foreign import Infotext, file_name, is_same_file
from .infotext import parse_infotext, to_infotext
from .listing import list_outputs
from .makers import tabs_of
from .picture_info import InfoField, PictureInfo, read_picture_info
from .reading import Reading, Untaken, from_infotext, read_parameters
from .settings_text import EXACT_PROMPTS

__all__ = [
    "EXACT_PROMPTS",
    "CarriedText",
    "InfoField",
    "Infotext",
    "PictureInfo",
    "Reading",
    "Untaken",
    "file_name",
    "from_infotext",
    "is_same_file",
    "list_outputs",
    "parse_infotext",
    "png_bytes",
    "read_infotext",
    "read_parameters",
    "read_picture_info",
    "save_beside",
    "save_image",
    "tabs_of",
    "to_infotext",
    "write_bytes",
    "write_png",
]
