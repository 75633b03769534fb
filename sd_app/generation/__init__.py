"""From a request to pictures: the whole story of one job, for each kind of request."""

from .img2img import img2img
from .inpaint import inpaint
from .resolve import resolve
from .txt2img import txt2img

__all__ = ["img2img", "inpaint", "resolve", "txt2img"]
