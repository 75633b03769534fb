"""What jobs ask and what they give back. Plain data: no torch, no I/O.

A request that exists is valid: types and ranges are checked when it is built.
"""

from ..checks import MAX_SEED
from .making import (
    BLENDS,
    MASKED_CONTENTS,
    MAX_CLIP_SKIP,
    MAX_FEATHER,
    MAX_GUIDANCE,
    MAX_NUM_IMAGES,
    MAX_PADDING,
    MAX_PROMPT,
    MAX_STEPS,
    RESIZE_MODES,
    Drift,
    DriftReport,
    Img2ImgRequest,
    Img2ImgResult,
    InpaintRequest,
    InpaintResult,
    Txt2ImgRequest,
    Txt2ImgResult,
    check_limits,
    count_steps,
    parse_seed,
)
from .running import Cancelled, Status, Step
from .text import CHUNK_TOKENS, Token, TokenReport

__all__ = [
    "BLENDS",
    "CHUNK_TOKENS",
    "MASKED_CONTENTS",
    "MAX_CLIP_SKIP",
    "MAX_FEATHER",
    "MAX_GUIDANCE",
    "MAX_NUM_IMAGES",
    "MAX_PADDING",
    "MAX_PROMPT",
    "MAX_SEED",
    "MAX_STEPS",
    "RESIZE_MODES",
    "Cancelled",
    "Drift",
    "DriftReport",
    "Img2ImgRequest",
    "Img2ImgResult",
    "InpaintRequest",
    "InpaintResult",
    "Status",
    "Step",
    "Token",
    "TokenReport",
    "Txt2ImgRequest",
    "Txt2ImgResult",
    "check_limits",
    "count_steps",
    "parse_seed",
]
