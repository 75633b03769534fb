"""The pictures of a call: files that the client uploaded before."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...images import open_image, open_mask
from ...requests import MAX_MATCHES
from ..shared.files import PictureFiles

# A picture comes as a file's description, as clients send it. Lists arrive as such. None may come too where
# it is the default.
PICTURE_HINTS: dict[str, Any] = {
    "init_image": dict,
    "mask_image": dict,
    "image": dict,
    "images": list[dict],
    "texts": list[str],
    "groups": list[str],
}


def open_pictures(values: Mapping[str, object], files: PictureFiles, max_pixels: int) -> dict[str, object]:
    """Open the uploaded files of a call; one that is not given stays out."""
    opened: dict[str, object] = {}
    for name in ("init_image", "mask_image", "image"):
        if values.get(name) is not None:
            open_file = open_mask if name == "mask_image" else open_image
            opened[name] = open_file(_path(name, values[name], files), max_pixels=max_pixels)
    uploads = values.get("images")
    if isinstance(uploads, list) and len(uploads) <= MAX_MATCHES:
        # Opened when their turn comes, since there may be many.
        opened["images"] = [_path(f"images {k}", file, files) for k, file in enumerate(uploads, 1)]
    return opened


def _path(name: str, file: object, files: PictureFiles) -> Path:
    if not isinstance(file, dict) or "path" not in file:
        raise ValueError(f"{name} must be an uploaded file (with gradio_client: handle_file(PATH))")
    return files.uploaded(file["path"])
