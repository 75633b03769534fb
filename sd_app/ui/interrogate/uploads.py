"""Uploads: several pictures at once, for the matching matrix."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict

import gradio as gr

from ...images import open_image
from ...requests import MAX_MATCHES
from ..shared.canvas import picture_entry
from ..shared.components import NamedFile
from ..shared.errors import attempt
from ..shared.files import PictureFiles
from ..shared.scripts import script_of

ASSETS = Path(__file__).parent


class UploadsValue(TypedDict):
    """What the block holds: files that the server made with the one safe decoder."""

    pictures: list[NamedFile]
    text: str  # what went wrong with the last ones


EMPTY: UploadsValue = {"pictures": [], "text": ""}


@dataclass(frozen=True, kw_only=True)
class Uploads:
    """The component, and what turns its value into pictures."""

    view: gr.HTML
    files: PictureFiles
    max_pixels: int

    def add(self, value: object, files: object) -> tuple[UploadsValue, list[Exception]]:
        """Return the value with uploaded files added, and what is wrong with those that were not."""
        pictures = self.entries(value)
        errors: list[Exception] = []
        for file in files if isinstance(files, list) else []:
            if len(pictures) >= MAX_MATCHES:
                errors.append(ValueError(f"images must number at most {MAX_MATCHES} (remove one first)"))
                break
            attempt(partial(self._add, file, pictures), errors.append)
        return {"pictures": pictures, "text": ""}, errors

    def _add(self, file: object, pictures: list[NamedFile]) -> None:
        """Put an uploaded file behind the pictures."""
        path, name = (file.get("path"), file.get("name")) if isinstance(file, dict) else (None, None)
        image = open_image(self.files.uploaded(path), max_pixels=self.max_pixels)
        pictures.append(picture_entry(self.files, image, name))

    def entries(self, value: object) -> list[NamedFile]:
        """Return the entries of a value whose files are still there, and nothing else it may hold."""
        found: list[NamedFile] = []
        pictures = value.get("pictures") if isinstance(value, dict) else None
        for picture in pictures[:MAX_MATCHES] if isinstance(pictures, list) else []:
            match picture:
                case {"file": {"path": path}, "name": str(name)}:
                    try:
                        found.append({"file": self.files.file(self.files.uploaded(path)), "name": name[:100]})
                    except ValueError:
                        continue
        return found

    def paths(self, entries: list[NamedFile]) -> list[Path]:
        """Return the files of entries, to be opened when their turn comes."""
        return [self.files.uploaded(entry["file"]["path"]) for entry in entries]


def uploads_block(files: PictureFiles, max_pixels: int) -> Uploads:
    """Make the block. It triggers `picked` with uploaded files, and `painted` when it holds others."""
    view = gr.HTML(
        value=EMPTY,
        html_template=(ASSETS / "uploads.html").read_text(encoding="utf-8"),
        js_on_load=script_of("interrogate/uploads.js", "picked", "painted", most=MAX_MATCHES),
        apply_default_css=False,
        elem_classes="canvas-block",
    )
    return Uploads(view=view, files=files, max_pixels=max_pixels)
