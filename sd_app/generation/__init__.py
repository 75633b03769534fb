"""From a request to pictures: the whole story of one job, for each kind of request."""

from .blend import blend, encode, look_up
from .img2img import img2img
from .inpaint import inpaint
from .plane import plane
from .resolve import resolve
from .run import RunOptions
from .txt2img import txt2img
from .walk import walk

__all__ = [
    "RunOptions",
    "blend",
    "encode",
    "img2img",
    "inpaint",
    "look_up",
    "plane",
    "resolve",
    "txt2img",
    "walk",
]
