"""The tab "Text to image"."""

from ...requests import Txt2ImgRequest
from ..shared.making_tab import MakingTab

TXT2IMG = MakingTab(name="txt2img", label="Text to image", request_type=Txt2ImgRequest)
