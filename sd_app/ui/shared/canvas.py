"""The canvas: a picture to start from, with what a person draws on it - colours, a mask, or nothing."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import gradio as gr
from PIL import Image

from ...images import lay_over, look_at_image, open_image, open_layer, open_mask, scaled_size
from .components import NamedFile
from .files import PictureFiles
from .scripts import script_of

ASSETS = Path(__file__).parent


class CanvasPicture(NamedFile):
    """The picture on the canvas, made by the one safe decoder: what is shown is what the model gets.

    Width and height are those of the layer that is painted on: a photo's own are larger.
    """

    width: int
    height: int


class CanvasValue(TypedDict):
    """What the canvas holds, as canvas.js draws it."""

    picture: CanvasPicture | None
    blank: list[int | str] | None  # width, height and colour of an empty canvas
    paint: str | None  # what was drawn: a PNG of the same size, as a data URL
    text: str  # what went wrong with the last file
    remark: str  # what of the picture is not used as it is


EMPTY: CanvasValue = {"picture": None, "blank": None, "paint": None, "text": "", "remark": ""}
EVENTS = ("picked", "mask_picked", "painted", "blank", "resized")
WHITE = "#ffffff"
MOST_PAINTED = 2048 * 2048  # pixels: a browser keeps several copies of what is painted
PNG_URL = "data:image/png;base64,"


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """The component, and what turns its value into pictures."""

    kind: str  # "sketch": what is painted are colours; "mask": it is made anew; "view": nothing is painted
    view: gr.HTML
    files: PictureFiles
    max_pixels: int

    def take(self, path: object, name: object) -> CanvasValue:
        """Return the value that shows an uploaded file. Raise ValueError for what is no picture."""
        file = self.files.uploaded(path)
        remark = look_at_image(file).remark(self.limit)
        return {**self.show(open_image(file, max_pixels=self.limit), name), "remark": remark}

    @property
    def limit(self) -> int | None:
        """Return how many pixels a picture may have here; None where it comes back at its own size."""
        return None if self.kind == "mask" else self.max_pixels

    def show(self, image: Image.Image, name: object) -> CanvasValue:
        """Return the value that shows a picture, with nothing painted."""
        return {**EMPTY, "picture": _sheet(picture_entry(self.files, image, name), image.size)}

    def take_mask(self, value: object, path: object) -> CanvasValue:
        """Return the value with an uploaded mask painted. Raise ValueError if it does not fit the picture."""
        base = self.size(value)
        if base is None:
            raise ValueError("mask_image needs a picture first (open the one it belongs to)")
        facts = look_at_image(self.files.uploaded(path))
        if (facts.width, facts.height) != base:
            raise ValueError(
                f"mask_image must have the size of the picture, {base[0]}x{base[1]},"
                f" got {facts.width}x{facts.height} (scale it, or draw it on the picture)"
            )
        mask = open_mask(self.files.uploaded(path))
        layer = Image.merge("LA", [Image.new("L", mask.size, 255), mask])
        return {**self.restore(value), "paint": _png_url(layer)}

    def pictures(self, value: object) -> dict[str, Image.Image | None]:
        """Return init_image and, of a mask canvas, mask_image (image, to look at); None without a picture.

        Raise ValueError for a value that did not come from the page.
        """
        base = self._base(value)
        if self.kind == "view":
            return {"image": base}
        layer = self._layer(value, base)
        if self.kind == "sketch":
            painted = lay_over(base, layer) if base and layer else base
            return {"init_image": painted}
        if base is None:
            return {"init_image": None, "mask_image": None}
        return {
            "init_image": base,
            "mask_image": layer.getchannel("A") if layer else Image.new("L", base.size),
        }

    def size(self, value: object) -> tuple[int, int] | None:
        """Return width and height of the canvas, None without one."""
        match value:
            case {"picture": {"file": {"path": path}}}:
                facts = look_at_image(self.files.uploaded(path))
                return facts.width, facts.height
        blank = self._base(value)
        return blank.size if blank else None

    def restore(self, value: object) -> CanvasValue:
        """Return the value as a reloaded page may have it, if its files are still there.

        It is made anew, part by part: Gradio serves any file that a value it hands out names.
        """
        try:
            size = self.size(value)
        except ValueError:
            return EMPTY
        if size is None:
            return EMPTY
        assert isinstance(value, dict)
        paint = value.get("paint")
        kept = paint if isinstance(paint, str) and paint.startswith(PNG_URL) else None
        picture = value.get("picture")
        if not isinstance(picture, dict):
            return {**EMPTY, "paint": kept, "blank": [*size, WHITE]}
        name = picture.get("name")
        file = self.files.file(self.files.uploaded(picture["file"]["path"]))
        entry: NamedFile = {"file": file, "name": name[:100] if isinstance(name, str) else "picture"}
        return {**EMPTY, "paint": kept, "picture": _sheet(entry, size)}

    def _base(self, value: object) -> Image.Image | None:
        match value:
            case {"picture": {"file": {"path": path}}}:
                return open_image(self.files.uploaded(path), max_pixels=self.limit)
            case {"blank": [int(width), int(height), _]} if width > 0 and height > 0:
                if width * height > self.max_pixels:
                    raise ValueError(
                        f"init_image must have at most {self.max_pixels:,} pixels, got {width}x{height}"
                        " (choose a smaller canvas)"
                    )
                return Image.new("RGB", (width, height), WHITE)
        return None

    def _layer(self, value: object, base: Image.Image | None) -> Image.Image | None:
        match value:
            case {"paint": str(url)} if base and url.startswith(PNG_URL):
                pass
            case _:
                return None
        try:
            data = base64.b64decode(url.removeprefix(PNG_URL), validate=True)
        except ValueError as error:
            raise ValueError("what was painted arrived damaged (paint it again)") from error
        facts = look_at_image(data)
        if (facts.width, facts.height) not in (base.size, paint_size(*base.size)):
            raise ValueError("what was painted has another size than the picture (clear it, paint it again)")
        layer = open_layer(data)
        if layer.size == base.size:
            return layer
        # Photos are painted on at a smaller size. A mask's edge stays sharp: its pixels are kept or are not.
        smooth = Image.Resampling.NEAREST if self.kind == "mask" else Image.Resampling.BILINEAR
        return layer.resize(base.size, smooth)


def paint_size(width: int, height: int) -> tuple[int, int]:
    """Return the size of the layer that is painted on: the picture's own, or a smaller one over a photo."""
    return scaled_size(width, height, MOST_PAINTED) if width * height > MOST_PAINTED else (width, height)


def _sheet(entry: NamedFile, size: tuple[int, int]) -> CanvasPicture:
    width, height = paint_size(*size)
    return {**entry, "width": width, "height": height}


def canvas_block(kind: str, files: PictureFiles, max_pixels: int) -> Canvas:
    """Make the canvas; it triggers `picked` and `mask_picked` with an uploaded file, `blank`, `resized`."""
    view = gr.HTML(
        value=EMPTY,
        html_template=(ASSETS / "canvas.html").read_text(encoding="utf-8"),
        js_on_load=script_of("shared/canvas.js", *EVENTS, kind=kind),
        apply_default_css=False,
        elem_classes="canvas-block",
    )
    return Canvas(kind=kind, view=view, files=files, max_pixels=max_pixels)


def picture_entry(files: PictureFiles, image: Image.Image, name: object) -> NamedFile:
    """Return {file, name} of a picture that was decoded from an uploaded file of that name."""
    return {"file": files.picture(image), "name": name[:100] if isinstance(name, str) else "picture"}


def upload_of(event: gr.EventData) -> tuple[object, object]:
    """Return path and name of the file that a canvas's event is about."""
    data = event._data if isinstance(event._data, dict) else {}
    return data.get("path"), data.get("name")


def _png_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return PNG_URL + base64.b64encode(buffer.getvalue()).decode()
