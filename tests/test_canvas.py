"""The canvas: from what a browser sends to pictures, and back."""

import base64
import io
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sd_app.pictures.placement import working_size
from sd_app.ui.shared.canvas import EMPTY, Canvas, canvas_block
from sd_app.ui.shared.files import PictureFiles

MAX_PIXELS = 512 * 512


def make_canvas(kind: str, folder: Path) -> Canvas:
    with gr.Blocks():
        return canvas_block(kind, PictureFiles(folder, shared=False, copies=set()), MAX_PIXELS)


@pytest.fixture
def sketch(tmp_path: Path) -> Canvas:
    return make_canvas("sketch", tmp_path)


@pytest.fixture
def mask(tmp_path: Path) -> Canvas:
    return make_canvas("mask", tmp_path)


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def layer_url(layer: Image.Image) -> str:
    buffer = io.BytesIO()
    layer.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_the_picture_shown_is_the_picture_used(sketch: Canvas) -> None:
    picture = noise(61, 47)
    value = sketch.show(picture, "a.png")
    entry = value["picture"]
    assert entry
    assert (entry["width"], entry["height"]) == (61, 47)
    shown = Image.open(entry["file"]["path"])
    assert shown.tobytes() == picture.tobytes()
    used = sketch.pictures(value)["init_image"]
    assert used
    assert used.tobytes() == picture.tobytes()


def test_any_picture_a_person_has_is_normalised_before_it_is_shown(sketch: Canvas, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    noise(40, 20).save(tmp_path / "phone.jpg", exif=exif)
    file = sketch.files.file(tmp_path / "phone.jpg")
    entry = sketch.take(file["path"], "phone.jpg")["picture"]
    assert entry
    assert (entry["width"], entry["height"]) == (20, 40)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_where_nothing_is_painted_the_pixels_stay(seed: int, width: int, height: int) -> None:
    canvas = make_canvas("sketch", Path())
    rng = np.random.default_rng(seed)
    picture = noise(width, height, seed)
    paint = rng.integers(0, 256, (height, width, 4), np.uint8)
    paint[..., 3] = rng.choice([0, 255], (height, width))
    value = {**canvas.show(picture, "a.png"), "paint": layer_url(Image.fromarray(paint))}
    made = np.asarray(canvas.pictures(value)["init_image"])
    clear = paint[..., 3] == 0
    assert (made[clear] == np.asarray(picture)[clear]).all()
    assert (made[~clear] == paint[~clear][:, :3]).all()


def test_a_masks_white_is_how_opaque_the_paint_is(mask: Canvas) -> None:
    value = mask.show(noise(32, 24), "a.png")
    nothing = mask.pictures(value)["mask_image"]
    assert nothing
    assert nothing.size == (32, 24)
    assert nothing.getextrema() == (0, 0)
    alpha = np.random.default_rng(2).integers(0, 256, (24, 32), np.uint8)
    layer = Image.merge("RGBA", [Image.new("L", (32, 24), 255)] * 3 + [Image.fromarray(alpha)])
    painted = mask.pictures({**value, "paint": layer_url(layer)})
    assert (np.asarray(painted["mask_image"]) == alpha).all()
    assert painted["init_image"]


def test_an_uploaded_mask_becomes_the_paint_whatever_its_mode(mask: Canvas, tmp_path: Path) -> None:
    value = mask.show(noise(32, 24), "a.png")
    grey = Image.fromarray(np.random.default_rng(3).integers(0, 256, (24, 32), np.uint8))
    for mode, name in (("L", "l.png"), ("RGB", "rgb.png"), ("1", "one.png")):
        wanted = grey.convert(mode)
        wanted.save(tmp_path / name)
        taken = mask.take_mask(value, mask.files.file(tmp_path / name)["path"])
        made = mask.pictures(taken)["mask_image"]
        assert made
        assert made.tobytes() == wanted.convert("L").tobytes()


def test_a_mask_that_fits_no_picture_is_refused(mask: Canvas, tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "mask.png")
    path = mask.files.file(tmp_path / "mask.png")["path"]
    with pytest.raises(ValueError, match="needs a picture first"):
        mask.take_mask(EMPTY, path)
    with pytest.raises(ValueError, match="32x24, got 8x8"):
        mask.take_mask(mask.show(noise(32, 24), "a.png"), path)


def test_a_blank_canvas_is_white_and_bounded(sketch: Canvas) -> None:
    blank = sketch.pictures({**EMPTY, "blank": [64, 32, "#ffffff"]})["init_image"]
    assert blank
    assert blank.size == (64, 32)
    assert blank.getextrema() == ((255, 255),) * 3
    with pytest.raises(ValueError, match="at most 262,144 pixels"):
        sketch.pictures({**EMPTY, "blank": [100_000, 100_000, "#ffffff"]})


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [],
        {},
        {"picture": {"file": {"path": None}}},
        {"picture": {"file": "x"}},
        {"blank": [0, 5, "#ffffff"]},
        {"blank": ["a", 5, "#ffffff"]},
        {"blank": [64.5, 64, "#ffffff"]},
        {"paint": "data:image/png;base64,AAAA"},
    ],
)
def test_what_no_page_sends_is_no_picture_and_restores_as_empty(mask: Canvas, value: object) -> None:
    assert mask.restore(value) == EMPTY
    try:
        assert mask.pictures(value) == {"init_image": None, "mask_image": None}
    except ValueError as error:
        assert "open it again" in str(error)  # noqa: PT017


def test_a_path_that_was_never_uploaded_is_not_opened(sketch: Canvas, tmp_path: Path) -> None:
    noise(8, 8).save(tmp_path / "secret.png")
    outside = str(tmp_path / "secret.png")
    for path in (
        outside,
        f"{get_upload_folder()}/../{tmp_path.name}/secret.png",
        "a\0b",
        "x" * 9999,
        7,
        None,
    ):
        with pytest.raises(ValueError, match="open it again"):
            sketch.take(path, "secret.png")


def test_damaged_paint_and_paint_of_another_size_are_refused(sketch: Canvas) -> None:
    value = sketch.show(noise(16, 16), "a.png")
    for paint, words in (
        ("data:image/png;base64,!!!", "damaged"),
        ("data:image/png;base64,AAAA", "not a picture"),
        (layer_url(Image.new("RGBA", (8, 8))), "another size"),
    ):
        with pytest.raises(ValueError, match=words):
            sketch.pictures({**value, "paint": paint})


@pytest.mark.parametrize(
    ("picture", "native", "wanted"),
    [
        ((512, 512), 512, (512, 512)),
        ((517, 389), 512, (520, 392)),  # near the model's own size: kept, rounded to 8
        ((4032, 3024), 512, (592, 440)),  # a phone's photo: the model's area, the photo's shape
        ((3024, 4032), 512, (440, 592)),
        ((64, 64), 512, (512, 512)),
        ((128, 128), 128, (128, 128)),
    ],
)
def test_a_model_works_near_its_own_area_at_the_pictures_shape(
    picture: tuple[int, int], native: int, wanted: tuple[int, int]
) -> None:
    assert working_size(*picture, native) == wanted


def test_a_restored_value_names_no_file_but_the_uploaded_picture(mask: Canvas, tmp_path: Path) -> None:
    """Gradio serves every file that a value names, so nothing of the browser's own may be handed back."""
    secret = {"path": str(tmp_path / "secret.txt"), "meta": {"_type": "gradio.FileData"}}
    value = mask.show(noise(16, 16), "a.png")
    entry = value["picture"]
    assert entry
    picture = {**entry, "other": secret, "file": {**entry["file"], "more": secret}}
    for forged in (
        {**value, "blank": secret},
        {**value, "paint": secret},
        {**value, "text": secret},
        {**value, "picture": picture},
        {"blank": [16, 16, secret]},
    ):
        assert "secret" not in str(mask.restore(forged))
        assert mask.restore(forged)["picture"] or mask.restore(forged)["blank"]
    restored = mask.restore(value)["picture"]
    assert restored
    assert restored["width"] == 16


def test_a_path_that_is_too_long_for_the_disk_is_no_picture(sketch: Canvas) -> None:
    path = f"{get_upload_folder()}/{'x' * 300}/a.png"
    assert sketch.restore({"picture": {"file": {"path": path}}}) == EMPTY


PHOTO = (3264, 2448)  # 8 megapixels


def upload(picture: Image.Image, name: str = "photo.png") -> str:
    """Put a file where Gradio puts uploaded ones; return its path."""
    folder = Path(get_upload_folder()) / "photo"
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / name, compress_level=1)
    return str(folder / name)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(np.tile(np.asarray(noise(102, 51)), (48, 32, 1)))


def test_a_photo_to_be_repainted_keeps_its_pixels_and_is_painted_on_at_a_smaller_size(
    mask: Canvas, photo: Image.Image
) -> None:
    value = mask.take(upload(photo), "photo.png")
    entry = value["picture"]
    assert entry
    width, height = entry["width"], entry["height"]
    assert (width, height) == (2364, 1773)
    assert mask.size(value) == PHOTO
    assert value["remark"] == ""
    layer = Image.new("RGBA", (width, height))
    layer.paste("white", (600, 300, 1200, 900))
    pictures = mask.pictures({**value, "paint": layer_url(layer)})
    image, painted = pictures["init_image"], pictures["mask_image"]
    assert image
    assert painted
    assert image.tobytes() == photo.tobytes()
    assert painted.size == PHOTO
    assert set(painted.getdata()) == {0, 255}
    scale = PHOTO[0] / width
    assert painted.getbbox() == tuple(round(side * scale) for side in (600, 300, 1200, 900))


def test_a_mask_of_the_photos_own_size_counts_pixel_by_pixel(mask: Canvas, photo: Image.Image) -> None:
    value = mask.take(upload(photo), "photo.png")
    own = Image.new("L", PHOTO)
    own.putpixel((1001, 777), 255)
    value = mask.take_mask(value, upload(own, "mask.png"))
    painted = mask.pictures(value)["mask_image"]
    assert painted
    assert painted.tobytes() == own.tobytes()
    with pytest.raises(
        ValueError, match="mask_image must have the size of the picture, 3264x2448, got 64x64"
    ):
        mask.take_mask(value, upload(noise(64, 64), "small.png"))


def test_a_photo_to_begin_with_is_scaled_and_that_is_said(sketch: Canvas, photo: Image.Image) -> None:
    value = sketch.take(upload(photo), "photo.png")
    assert sketch.size(value) == (591, 443)
    assert value["remark"] == "The picture has 3264x2448 pixels and is scaled down to 591x443."
    assert value["text"] == ""
