"""Pictures as people have them: phones' photos, other colours, other formats. Bounded by what they cost."""

import base64
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw, TiffImagePlugin

from sd_app import Img2ImgRequest, InpaintRequest, InterrogateRequest, Settings, Studio
from sd_app.generation.resolve import resolve
from sd_app.images import look_at_image, open_image, open_mask
from tests.photos import ORIENTATION, peak_megabytes, take_photo
from tests.test_images import encode, png

PHOTO = (4032, 3024)  # as the sensor lies; upright it is 3024 wide


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of 12 megapixels, held upright."""
    return take_photo(tmp_path_factory.mktemp("photo") / "IMG_0001.JPG", *PHOTO, orientation=6)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Settings(outputs_dir=tmp_path_factory.mktemp("o"), device="cpu"))


def test_a_photo_keeps_its_size_or_is_scaled_to_what_is_wanted(photo: Path) -> None:
    whole = open_image(photo)
    assert whole.size == PHOTO[::-1]
    small = open_image(photo, max_pixels=1024 * 1024)
    assert small.size == (886, 1182)
    expected = np.asarray(whole.resize(small.size, Image.Resampling.BOX), float)
    assert np.abs(np.asarray(small, float) - expected).mean() < 4  # noise, by another filter


def test_a_header_alone_tells_the_upright_size(photo: Path) -> None:
    facts = look_at_image(photo)
    assert (facts.width, facts.height, facts.frames) == (3024, 4032, 1)
    assert facts.remark() == ""
    assert facts.remark(1024**2) == "The picture has 3024x4032 pixels and is scaled down to 886x1182."


def test_img2img_takes_a_photo_at_the_models_own_area_and_says_so(studio: Studio, photo: Path) -> None:
    request = Img2ImgRequest(prompt="a cat", init_image=photo, seed=1, num_inference_steps=2)
    result = studio.img2img(request, save=False)
    assert result.images[0].size == (112, 144)
    assert result.notice.startswith("The picture has 3024x4032 pixels and is scaled down to ")
    sized = studio.img2img(replace(request, width=96, height=64), save=False)
    assert sized.images[0].size == (96, 64)


def test_a_picture_that_is_not_too_large_keeps_its_own_size_as_ever(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (517, 389)).save(path)
    request = Img2ImgRequest(prompt="a", init_image=path)
    resolved = resolve(request, studio.models()[0], studio.settings)
    assert (resolved.width, resolved.height) == (520, 392)
    photo = resolve(request, studio.models()[0], replace(studio.settings, max_pixels=400 * 400))
    assert (photo.width, photo.height) == (144, 112)


@pytest.mark.parametrize(
    ("only_masked", "extra"),
    [
        (True, {}),
        (False, {"feather": 9, "masked_content": "fill", "blend": "pyramid"}),
        pytest.param(False, {}, marks=pytest.mark.slow),
        pytest.param(True, {"feather": 9, "masked_content": "fill"}, marks=pytest.mark.slow),
    ],
)
def test_a_repainted_photo_comes_back_at_its_size_and_its_other_pixels_to_the_byte(
    studio: Studio, photo: Path, tmp_path: Path, only_masked: bool, extra: dict[str, object]
) -> None:
    whole = open_image(photo)
    mask = Image.new("L", whole.size)
    ImageDraw.Draw(mask).ellipse((700, 900, 1400, 1500), fill=255)
    mask.save(tmp_path / "mask.png")
    request = InpaintRequest(
        prompt="a cat",
        init_image=photo,
        mask_image=tmp_path / "mask.png",
        seed=1,
        num_inference_steps=2,
        only_masked=only_masked,
        **extra,  # type: ignore[arg-type]
    )
    result = studio.inpaint(request, save=False)
    painted = np.asarray(mask) > 0
    after, before = np.asarray(result.images[0]), np.asarray(whole)
    assert after.shape == before.shape
    assert (after[~painted] == before[~painted]).all()
    assert (after[painted] != before[painted]).any()
    assert result.drifts[0].composite.maximum == 0
    assert result.drifts[0].raw_heat.width < 2048
    assert result.notice == ""
    alone = {"feather": 0, "masked_content": "original", "blend": "none"}
    if not extra:  # what is repainted is the raw picture's
        assert (after[painted] == np.asarray(result.raw_images[0])[painted]).all()
        assert all(getattr(result.request, name) == value for name, value in alone.items())


def test_a_photo_may_be_extended_although_it_is_larger_than_what_may_be_made(
    studio: Studio, photo: Path
) -> None:
    request = InpaintRequest(
        prompt="a", init_image=photo, outpaint=(0, 8, 0, 0), seed=1, num_inference_steps=2
    )
    result = studio.inpaint(request, save=False)
    assert result.images[0].size == (3024, 4040)
    assert result.images[0].crop((0, 8, 3024, 4040)).tobytes() == open_image(photo).tobytes()
    with pytest.raises(ValueError, match="outpaint must leave at most"):
        studio.inpaint(replace(request, outpaint=(0, 2000, 0, 0)), save=False)


def test_the_interrogator_takes_a_photo(studio: Studio, photo: Path) -> None:
    assert studio.interrogate(InterrogateRequest(image=photo, mode="fast", caption="a")).prompt


JOB = """
from pathlib import Path
from PIL import Image
from sd_app import *
photo, mask, kind, outputs = sys.argv[1:5]
studio = Studio(Settings(outputs_dir=Path(outputs), device="cpu"))
known = dict(prompt="a cat", seed=1, num_inference_steps=2)
small = Image.new("RGB", (128, 96), "red")
whole = Image.new("L", small.size, 255)
def run(image, mask):
    if kind == "img2img":
        return studio.img2img(Img2ImgRequest(init_image=image, **known))
    return studio.inpaint(InpaintRequest(init_image=image, mask_image=mask, **known))
run(small, whole)
base()
run(photo, mask)
"""


@pytest.mark.parametrize(
    ("size", "kind", "limit"),
    [
        (PHOTO, "img2img", 200),
        (PHOTO, "inpaint", 600),
        pytest.param((8160, 6120), "img2img", 300, marks=pytest.mark.slow),
        pytest.param((8160, 6120), "inpaint", 1500, marks=pytest.mark.slow),
        pytest.param((12_000, 9_990), "inpaint", 3000, marks=pytest.mark.slow),  # the largest one
    ],
)
def test_a_photo_needs_little_memory_beside_the_model(
    tmp_path: Path, size: tuple[int, int], kind: str, limit: int
) -> None:
    photo = take_photo(tmp_path / "photo.jpg", *size, orientation=6)
    mask = Image.new("L", size[::-1])
    ImageDraw.Draw(mask).ellipse((700, 900, 1400, 1500), fill=255)
    mask.save(tmp_path / "mask.png")
    assert peak_megabytes(JOB, photo, tmp_path / "mask.png", kind, tmp_path) < limit


NARROW = """
from PIL import Image
from sd_app import *
studio = Studio(Settings(device="cpu"))
studio.interrogate(InterrogateRequest(image=Image.new("RGB", (64, 64)), mode="fast", caption="a"))
base()
for image in (sys.argv[1], Image.new("RGB", (1, 40_000))):
    try:
        studio.interrogate(InterrogateRequest(image=image, mode="fast", caption="a"))
        raise SystemExit("it was taken")
    except ValueError as error:
        assert "at most 250 times as long as it is wide, got 1x40000 (cut" in str(error), error
studio.interrogate(InterrogateRequest(image=Image.new("RGB", (2, 500)), mode="fast", caption="a"))
"""


def test_a_picture_of_1_by_40000_takes_no_gigabytes(tmp_path: Path) -> None:
    Image.new("RGB", (1, 40_000)).save(tmp_path / "narrow.png")
    assert (tmp_path / "narrow.png").stat().st_size < 1000
    assert peak_megabytes(NARROW, tmp_path / "narrow.png") < 200


@pytest.mark.parametrize("size", [(1, 251), (1000, 3)])
def test_a_sliver_is_refused_at_every_door(studio: Studio, tmp_path: Path, size: tuple[int, int]) -> None:
    sliver = Image.new("RGB", size)
    sliver.save(tmp_path / "sliver.png")
    doors: tuple[Callable[[Image.Image | Path], object], ...] = (
        lambda image: studio.img2img(Img2ImgRequest(prompt="a", init_image=image), save=False),
        lambda image: studio.inpaint(
            InpaintRequest(prompt="a", init_image=image, mask_image=tmp_path / "sliver.png"), save=False
        ),
        lambda image: studio.interrogate(InterrogateRequest(image=image)),
    )
    for door in doors:
        for image in (sliver, tmp_path / "sliver.png"):
            with pytest.raises(ValueError, match=r"at most 250 times as long as it is wide"):
                door(image)


def test_an_empty_file_and_one_that_is_too_large_are_named(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ValueError, match=r"a\.jpg is empty, 0 bytes long"):
        open_image(tmp_path / "a.jpg")
    with (tmp_path / "b.jpg").open("wb") as file:
        file.truncate(500_000_001)  # a hole: nothing is written
    with pytest.raises(ValueError, match=r"b\.jpg must have at most 500 MB, got 500,000,001 bytes"):
        open_image(tmp_path / "b.jpg")


def answer(data: bytes) -> str:
    """Return a picture's mode, or why it is refused."""
    try:
        return open_image(data).mode
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("image_format", ["AVIF", "WEBP", "PNG", "JPEG", "GIF", "TIFF", "BMP"])
def test_damage_anywhere_is_one_sentence_of_ours(image_format: str) -> None:
    """Bytes are changed and files cut at many places: a picture comes out, or our words."""
    pixels = np.random.default_rng(3).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = encode(Image.fromarray(pixels), image_format)
    rng = np.random.default_rng(7)
    for turn in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 1 + turn % 5):
            data[place] ^= int(rng.integers(1, 256))
        if turn % 3 == 0:
            del data[int(rng.integers(1, len(data))) :]
        said = answer(bytes(data))
        assert said == "RGB" or (said.startswith("the picture ") and "\n" not in said)


def test_of_an_animation_the_first_frame_is_used_and_that_is_said(studio: Studio, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue", "green")]
    for ending in (".gif", ".webp", ".png", ".tif"):
        path = tmp_path / f"moving{ending}"
        frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
        remark = "The picture has 3 frames or pages, and the first one is used."
        assert look_at_image(path).remark() == remark
        request = Img2ImgRequest(prompt="a", init_image=path, seed=1, num_inference_steps=1, strength=1.0)
        result = studio.img2img(request, save=False)
        assert remark in result.notice
        assert result.input_image is not None
        assert result.input_image.getpixel((9, 9)) == (255, 0, 0)
    found = studio.interrogate(InterrogateRequest(image=tmp_path / "moving.gif", mode="fast", caption="a"))
    assert found.notice == remark


def test_a_second_picture_in_a_phones_jpeg_is_no_animation(tmp_path: Path) -> None:
    """Phones keep a map of the brightness, or a depth, behind the picture."""
    first, second = Image.new("RGB", (64, 48), "red"), Image.new("RGB", (16, 12), "white")
    first.save(tmp_path / "photo.jpg", format="MPO", save_all=True, append_images=[second])
    assert look_at_image(tmp_path / "photo.jpg").remark() == ""
    image = open_image(tmp_path / "photo.jpg", max_pixels=1000)
    assert image.size == (36, 27)
    assert np.abs(np.asarray(image, int) - (254, 0, 0)).max() <= 3


def swapped_profile() -> bytes:
    """Return a profile whose red is sRGB's green and the other way round, as no screen has it."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag, other in ((b"rXYZ", b"gXYZ"), (b"rTRC", b"gTRC")):
        a, b = data.index(tag, 128), data.index(other, 128)
        data[a : a + 4], data[b : b + 4] = other, tag
    at = data.index(b"desc", 128)
    start = int.from_bytes(data[at + 4 : at + 8], "big")
    size = int.from_bytes(data[at + 8 : at + 12], "big")
    data[start : start + size] = (
        data[start : start + size].replace(b"s\0R\0G\0B", b"x\0Y\0Z\0W").replace(b"sRGB", b"xYZW")
    )
    return bytes(data)


def test_colours_of_a_profile_become_srgbs_and_a_mask_stays_as_it_is() -> None:
    data = encode(Image.new("RGB", (8, 8), (250, 20, 20)), icc_profile=swapped_profile())
    red, green, blue = open_image(data).getpixel((4, 4))  # type: ignore[misc]
    assert green > 240 > 40 > red
    assert blue < 40
    white = encode(Image.new("RGB", (8, 8), (128, 128, 128)), icc_profile=swapped_profile())
    assert open_mask(white).getpixel((0, 0)) == 128
    plain = encode(
        Image.new("RGB", (8, 8), (250, 20, 20)),
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    )
    assert open_image(plain).getpixel((4, 4)) == (250, 20, 20)
    for broken in (b"junk", swapped_profile()[:200]):
        data = encode(Image.new("RGB", (8, 8), (250, 20, 20)), icc_profile=broken)
        assert open_image(data).getpixel((4, 4)) == (250, 20, 20)


def test_a_large_picture_of_odd_colours_is_read_in_bands_like_a_small_one(monkeypatch) -> None:
    from sd_app import image_colors

    rng = np.random.default_rng(0)
    clear = Image.fromarray(rng.integers(0, 256, (50, 40, 4), dtype=np.uint8), "RGBA")
    deep = Image.fromarray(rng.integers(0, 65536, (50, 40), dtype=np.uint16))
    wide = Image.fromarray(rng.normal(size=(50, 40)).astype(np.float32))
    for image, image_format in ((clear, "PNG"), (deep, "PNG"), (wide, "TIFF"), (clear.quantize(9), "PNG")):
        data = encode(image, image_format)
        monkeypatch.setattr(image_colors, "BAND_PIXELS", 10**9)
        whole = open_image(data)
        monkeypatch.setattr(image_colors, "BAND_PIXELS", 130)
        assert open_image(data).tobytes() == whole.tobytes()


def test_an_orientation_that_is_none_turns_nothing() -> None:
    exif = Image.Exif()
    for odd in (0, 9, 77):
        exif[ORIENTATION] = odd
        assert open_image(encode(Image.new("RGB", (8, 4)), "JPEG", exif=exif)).size == (8, 4)


def test_a_damaged_tag_costs_no_picture() -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[ORIENTATION] = 3
    data = encode(Image.new("RGB", (8, 4), "red"), "TIFF", tiffinfo=info)
    assert open_image(data).size == (8, 4)
    assert open_image(png(2, 2, 8, 2, b"\0" + bytes(6) + b"\0" + bytes(6))).size == (2, 2)


def has_heif() -> bool:
    return any(importlib.util.find_spec(name) for name in ("pi_heif", "pillow_heif"))


# 8x8 pixels would be a file of 500 bytes; the beginning is what tells it.
HEIC_START = base64.b64decode("AAAAGGZ0eXBoZWljAAAAAG1pZjFoZWlj")


@pytest.mark.skipif(has_heif(), reason="a library for HEIC is installed")
def test_without_a_library_a_heic_photo_is_refused_with_the_way_out() -> None:
    with pytest.raises(
        ValueError, match=r"is a HEIC picture, .* \(pip install pi-heif, or save it as JPEG\)"
    ):
        open_image(HEIC_START + bytes(100))


@pytest.mark.skipif(not has_heif(), reason="no library for HEIC is installed")
def test_with_a_library_a_heic_photo_is_read(tmp_path: Path) -> None:
    writer = pytest.importorskip("pillow_heif")
    stream = BytesIO()
    writer.from_pillow(Image.new("RGB", (64, 48), (200, 30, 30))).save(stream, quality=90)
    image = open_image(stream.getvalue(), max_pixels=1000)
    assert image.size == (36, 27)
    assert np.abs(np.asarray(image, int) - (200, 30, 30)).mean() < 6
