"""From a request to pictures: the whole story of one job, for each kind of request."""

from .blend import blend, encode, look_up
from .frames import plane, walk
from .img2img import img2img
from .inpaint import inpaint
from .resolve import resolve
from .txt2img import txt2img

__all__ = ["blend", "encode", "img2img", "inpaint", "look_up", "plane", "resolve", "txt2img", "walk"]
