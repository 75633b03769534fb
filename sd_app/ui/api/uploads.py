"""The pictures of a call: files that the client uploaded before."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...images import look_at_image
from ...requests import MAX_MATCHES
from ..shared.files import PictureFiles

# A picture comes as a file's description, as clients send it. Lists arrive as such. None may come too where
# it is the default.
PICTURE_HINTS: dict[str, Any] = {
    "init_image": dict,
    "mask_image": dict,
    "image": dict,
    "picture": dict,
    "other_picture": dict,
    "panels": list[str],
    "images": list[dict],
    "texts": list[str],
    "groups": list[str],
}


def find_pictures(values: Mapping[str, object], files: PictureFiles) -> dict[str, object]:
    """Return the uploaded files of a call, opened when their turn comes; one that is not given stays out.

    Raise ValueError for what was not uploaded, and for a file that is no picture.
    """
    found: dict[str, object] = {}
    for name in ("init_image", "mask_image", "image", "picture", "other_picture"):
        if values.get(name) is not None:
            path = uploaded_picture(name, values[name], files)
            look_at_image(path)
            found[name] = path
    uploads = values.get("images")
    if isinstance(uploads, list) and len(uploads) <= MAX_MATCHES:
        found["images"] = [uploaded_picture(f"images {k}", file, files) for k, file in enumerate(uploads, 1)]
    return found


def uploaded_picture(name: str, file: object, files: PictureFiles) -> Path:
    """Return the path of an uploaded file; raise ValueError for anything else."""
    if not isinstance(file, dict) or "path" not in file:
        raise ValueError(f"{name} must be an uploaded file (with gradio_client: handle_file(PATH))")
    return files.uploaded(file["path"])
