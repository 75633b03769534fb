"""The tab "Image to image"."""

from ...requests import RESIZE_MODES, Img2ImgRequest
from ..shared.making_tab import MakingTab

IMG2IMG = MakingTab(
    name="img2img",
    label="Image to image",
    request_type=Img2ImgRequest,
    canvas="sketch",
    fits=RESIZE_MODES,
)
