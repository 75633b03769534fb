"""A Stable Diffusion studio that opens the black box.

The public names. Importing them loads neither torch nor diffusers: that happens in the first job.
"""

from .requests import (
    BlendRequest,
    BlendResult,
    Cancelled,
    Divergence,
    Drift,
    DriftReport,
    Encoding,
    Img2ImgRequest,
    Img2ImgResult,
    InpaintRequest,
    InpaintResult,
    Jump,
    NearWord,
    PlaneRequest,
    PlaneResult,
    RowReport,
    Status,
    Step,
    Token,
    TokenReport,
    TokenRow,
    TokenTable,
    Txt2ImgRequest,
    Txt2ImgResult,
    WalkRequest,
    WalkResult,
)
from .settings import Settings
from .studio import Studio

__version__ = "0.1.0"

__all__ = [
    "BlendRequest",
    "BlendResult",
    "Cancelled",
    "Divergence",
    "Drift",
    "DriftReport",
    "Encoding",
    "Img2ImgRequest",
    "Img2ImgResult",
    "InpaintRequest",
    "InpaintResult",
    "Jump",
    "NearWord",
    "PlaneRequest",
    "PlaneResult",
    "RowReport",
    "Settings",
    "Status",
    "Step",
    "Studio",
    "Token",
    "TokenReport",
    "TokenRow",
    "TokenTable",
    "Txt2ImgRequest",
    "Txt2ImgResult",
    "WalkRequest",
    "WalkResult",
    "__version__",
]
