"""A Stable Diffusion studio that opens the black box.

The public names. Importing them loads neither torch nor diffusers: that happens in the first job.
"""

from .requests import (
    Accepted,
    Cancelled,
    Drift,
    DriftReport,
    Img2ImgRequest,
    Img2ImgResult,
    InpaintRequest,
    InpaintResult,
    InterrogateRequest,
    InterrogateResult,
    InterrogateStep,
    MatchRequest,
    MatchResult,
    Score,
    Status,
    Step,
    Token,
    TokenReport,
    Txt2ImgRequest,
    Txt2ImgResult,
)
from .settings import Settings
from .studio import Studio

__version__ = "0.1.0"

__all__ = [
    "Accepted",
    "Cancelled",
    "Drift",
    "DriftReport",
    "Img2ImgRequest",
    "Img2ImgResult",
    "InpaintRequest",
    "InpaintResult",
    "InterrogateRequest",
    "InterrogateResult",
    "InterrogateStep",
    "MatchRequest",
    "MatchResult",
    "Score",
    "Settings",
    "Status",
    "Step",
    "Studio",
    "Token",
    "TokenReport",
    "Txt2ImgRequest",
    "Txt2ImgResult",
    "__version__",
]
