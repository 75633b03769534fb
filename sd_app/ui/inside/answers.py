"""What a panel answers, as JSON takes it."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ...requests import LookAnswer, PanelShown
from ..shared.files import PictureFiles
from ..shared.guarded import sendable

EXACT_SIDE = 384  # pixels; what is larger is shown as JPEG: the files to be saved are exact


def answer_json(answer: LookAnswer | PanelShown, files: PictureFiles) -> dict[str, Any]:
    """Return an answer's numbers and pictures: arrays as base64 of float32, pictures as data URLs."""
    if isinstance(answer, PanelShown):
        return {"numbers": _files(answer, files), "pictures": {}}
    return {
        "numbers": _plain(answer.numbers),
        "pictures": {name: picture_url(image) for name, image in answer.pictures.items()},
    }


def picture_url(image: Image.Image) -> str:
    """Return a picture as a data URL, to the byte if it is small."""
    buffer = io.BytesIO()
    if max(image.size) <= EXACT_SIDE:
        image.save(buffer, "PNG", compress_level=1)
        kind = "png"
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=92, subsampling=0)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        values = np.ascontiguousarray(value, "<f4")
        return {"shape": list(value.shape), "f4": base64.b64encode(values.tobytes()).decode()}
    if isinstance(value, np.generic):
        return sendable(value.item())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return sendable(value)


def _files(shown: PanelShown, files: PictureFiles) -> dict[str, Any]:
    """Return what was found, and the files, each where it is served."""
    return {
        "said": list(shown.said),
        "why_not": shown.why_not,
        "files": [
            {"name": name, "path": files.data(data, name)["path"]} for name, data in shown.files.items()
        ],
    }
