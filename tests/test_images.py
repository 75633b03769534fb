"""The decoder on awkward files, each made here; the grid and the enlargement."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sd_app.image_colors import to_rgb
from sd_app.images import enlarge, image_grid, look_at_image, open_image, open_mask

LIMIT = 1_000_000
RED = (255, 0, 0)


def encode(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def reds(image: Image.Image) -> list[int]:
    """Return the red values of the top row."""
    return [int(value) for value in np.asarray(image)[0, :, 0]]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, color: int, rows: bytes, *extra: bytes) -> bytes:
    """Write a PNG by hand: any header, the rows as given (with their filter bytes)."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = [
        png_chunk(b"IHDR", header),
        *extra,
        png_chunk(b"IDAT", zlib.compress(rows)),
        png_chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_allowed_format_is_read_as_plain_rgb(image_format: str) -> None:
    image = open_image(encode(Image.new("RGB", (24, 16), RED), image_format), max_pixels=LIMIT)
    assert (image.mode, image.size, image.info) == ("RGB", (24, 16), {})
    assert np.abs(np.asarray(image, int) - RED).max() <= 4


@pytest.mark.parametrize("image_format", ["ICO", "TGA", "PPM", "PDF", "EPS", "PCX"])
def test_other_formats_are_refused_whatever_the_file_is_called(image_format: str, tmp_path: Path) -> None:
    path = tmp_path / "holiday.png"
    path.write_bytes(encode(Image.new("RGB", (16, 16), RED), image_format))
    with pytest.raises(ValueError, match=r"holiday.png is not a picture .* \(save it as PNG"):
        open_image(path, max_pixels=LIMIT)


def test_the_format_is_told_from_the_content_not_from_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really-a-jpeg.gif"
    path.write_bytes(encode(Image.new("RGB", (16, 16), RED), "JPEG"))
    assert open_image(path, max_pixels=LIMIT).size == (16, 16)


@pytest.mark.parametrize(
    "junk", [b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_picture_is_refused_in_clear_words(junk: bytes) -> None:
    with pytest.raises(ValueError, match="is not a picture this app can read"):
        open_image(junk, max_pixels=LIMIT)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.png"):
        with pytest.raises(ValueError, match=f"{path.name} does not exist or is not a file"):
            open_image(path, max_pixels=LIMIT)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_truncated_file_is_refused(image_format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), image_format)
    with pytest.raises(ValueError, match=r"damaged or cut off|is not a picture"):
        open_image(data[: len(data) // 2], max_pixels=LIMIT)


def test_a_flipped_byte_in_a_png_is_noticed() -> None:
    data = bytearray(encode(Image.new("RGB", (64, 64), RED)))
    data[data.index(b"IDAT") + 8] ^= 0xFF
    with pytest.raises(ValueError, match="damaged or cut off"):
        open_image(bytes(data), max_pixels=LIMIT)


def test_more_pixels_than_are_wanted_are_scaled_down_at_the_same_shape() -> None:
    data = encode(Image.new("RGB", (100, 10), RED))
    assert open_image(data, max_pixels=1000).size == (100, 10)
    small = open_image(data, max_pixels=999)
    assert small.size == (99, 9)
    assert small.getpixel((50, 5)) == RED
    assert open_image(data).size == (100, 10)


@pytest.mark.parametrize("side", [13_378, 20_000, 60_000, 2**31 - 1])
def test_bombs_are_refused_before_a_single_pixel_is_decoded(side: int) -> None:
    lying = png(side, side, 8, 2, b"no rows at all: decoding them would say damaged")
    with pytest.raises(ValueError, match=r"at most 178,956,970"):
        open_image(lying, max_pixels=LIMIT)


BOMB = zlib.compress(bytes(200_000_000), 9)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"zTXt", b"parameters\0\0" + BOMB),
        png_chunk(b"iTXt", b"parameters\0\1\0\0\0" + BOMB),
        png_chunk(b"iCCP", b"a printer\0\0" + BOMB),
        png_chunk(b"iCCP", b"another method\0\7abc"),
        png_chunk(b"zTXt", b"another method\0\7abc"),
        png_chunk(b"cHRM", b"1"),
        png_chunk(b"sRGB", b""),
        png_chunk(b"pHYs", b"1"),
        png_chunk(b"tEXt", b"a checksum\0x")[:-1] + b"?",
    ],
    ids=lambda chunk: repr(chunk[4:20]),
)
def test_a_text_or_a_profile_that_is_long_or_broken_does_not_cost_the_picture(
    chunk: bytes, tmp_path: Path
) -> None:
    plain = png(1, 1, 8, 0, b"\0\x55")
    for place in (b"IDAT", b"IEND"):  # before the pixels, and behind them
        at = plain.index(place) - 4
        data, path = plain[:at] + chunk + plain[at:], tmp_path / "a.png"
        path.write_bytes(data)
        for source in (data, path):
            assert open_image(source, max_pixels=LIMIT).getpixel((0, 0)) == (85, 85, 85)
            assert look_at_image(source).pixels == 1


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, (0, 0, 255))]
    for image_format in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if image_format == "WEBP" else {}
        data = encode(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
        assert open_image(data, max_pixels=LIMIT).getpixel((4, 4)) == RED


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_cameras_orientation_is_applied(image_format: str, orientation: int) -> None:
    upright = Image.new("RGB", (32, 16), "white")
    upright.paste("black", (0, 0, 16, 8))  # only the top left quarter is dark
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored, image_format, exif=exif)
    image, facts = open_image(data, max_pixels=LIMIT), look_at_image(data)
    assert image.size == (facts.width, facts.height) == (32, 16)
    assert np.abs(np.asarray(image, int) - np.asarray(upright, int)).mean() < 4
    assert not image.getexif()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_broken_exif_does_not_cost_the_picture() -> None:
    data = encode(Image.new("RGB", (16, 16), RED), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert open_image(data, max_pixels=LIMIT).getpixel((0, 0)) == RED


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    for image_format in ("PNG", "TIFF"):
        image = open_image(encode(Image.fromarray(values), image_format), max_pixels=LIMIT)
        assert reds(image) == [0, 1, 128, 255]


def test_16_bit_colour_keeps_its_high_byte() -> None:
    rows = b"\0" + struct.pack(">6H", 65535, 0, 32768, 256, 512, 65535)
    image = open_image(png(2, 1, 16, 2, rows), max_pixels=LIMIT)
    assert [image.getpixel((x, 0)) for x in range(2)] == [(255, 0, 128), (1, 2, 255)]


def test_float_pictures_are_not_black() -> None:
    values = np.array([[0.0, 0.5, 1.0]], dtype=np.float32)
    image = open_image(encode(Image.fromarray(values), "TIFF"), max_pixels=LIMIT)
    assert reds(image) == [0, 128, 255]


def test_floats_and_integers_beyond_the_usual_are_stretched() -> None:
    for values in (
        np.array([[-2.0, 0.0, np.nan, 2.0]], np.float32),
        np.array([[0, 500_000, 500_000, 10**6]], np.int32),
    ):
        image = open_image(encode(Image.fromarray(values), "TIFF"), max_pixels=LIMIT)
        assert reds(image) == [0, 128, 128, 255]


def test_a_flat_picture_beyond_16_bits_does_not_divide_by_zero() -> None:
    data = encode(Image.fromarray(np.full((2, 2), 70_000, np.int32)), "TIFF")
    assert open_image(data, max_pixels=LIMIT).size == (2, 2)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    data = encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert("LA" if mode == "PA" else mode))
    if mode == "PA":
        data = encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0)).quantize())
    assert open_image(data, max_pixels=LIMIT).getpixel((1, 1)) == (255, 255, 255)


def test_half_transparent_red_is_pink() -> None:
    data = encode(Image.new("RGBA", (4, 4), (255, 0, 0, 128)))
    assert open_image(data, max_pixels=LIMIT).getpixel((1, 1)) == (255, 127, 127)


def test_a_transparent_colour_of_a_palette_or_of_grey_becomes_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((1, 0), 1)
    image = open_image(encode(palette, "GIF", transparency=0), max_pixels=LIMIT)
    assert [image.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), RED]

    grey = png(2, 1, 16, 0, b"\0" + struct.pack(">2H", 7, 32768), png_chunk(b"tRNS", struct.pack(">H", 7)))
    image = open_image(grey, max_pixels=LIMIT)
    assert [image.getpixel((x, 0)) for x in range(2)] == [(255,) * 3, (128,) * 3]


def test_a_palette_keeps_its_colours() -> None:
    data = encode(Image.new("RGB", (4, 4), RED).quantize(4))
    assert open_image(data, max_pixels=LIMIT).getpixel((1, 1)) == RED


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(image_format: str) -> None:
    image = open_image(encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), image_format), max_pixels=LIMIT)
    assert np.abs(np.asarray(image, int) - RED).max() <= 6


@pytest.mark.parametrize(("mode", "color"), [("1", 1), ("L", 255)])
def test_black_and_white_and_grey_become_rgb(mode: str, color: int) -> None:
    assert open_image(encode(Image.new(mode, (4, 4), color)), max_pixels=LIMIT).getpixel((1, 1)) == (255,) * 3


def test_lab_colours_become_rgb() -> None:
    image = open_image(encode(Image.new("LAB", (4, 4), (136, 208, 195)), "TIFF"), max_pixels=LIMIT)
    assert np.abs(np.asarray(image, int) - RED).max() <= 12


def test_a_kind_of_colour_pillow_cannot_convert_is_named() -> None:
    with pytest.raises(ValueError, match=r"La \(save it as RGB\)"):
        to_rgb(Image.new("La", (4, 4)), "the picture")


def test_the_file_is_closed_and_can_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(Image.new("RGB", (4, 4), RED)))
    image = open_image(str(path), max_pixels=LIMIT)
    path.unlink()
    assert image.getpixel((0, 0)) == RED


def test_a_grid_is_as_square_as_it_gets_and_keeps_every_pixel() -> None:
    images = [Image.new("RGB", (8, 6), (index * 20, 0, 0)) for index in range(5)]
    grid = image_grid(images)
    assert grid.size == (3 * 8, 2 * 6)
    assert [grid.getpixel((4 + i % 3 * 8, 3 + i // 3 * 6)) for i in range(5)] == [
        (20 * i, 0, 0) for i in range(5)
    ]
    assert grid.getpixel((20, 9)) == (255, 255, 255)
    assert image_grid(images[:1]).tobytes() == images[0].tobytes()
    assert image_grid(images, columns=5).size == (40, 6)
    assert image_grid(images, columns=9).size == (40, 6)


def test_smaller_pictures_are_centred_in_their_cell() -> None:
    grid = image_grid([Image.new("RGB", (8, 8), RED), Image.new("RGB", (2, 2), RED)])
    assert grid.size == (16, 8)
    assert [grid.getpixel((x, 4)) for x in (10, 11, 12, 13)] == [(255,) * 3, RED, RED, (255,) * 3]


@pytest.mark.parametrize(("images", "columns"), [([], None), ([Image.new("RGB", (1, 1))], 0)])
def test_a_grid_of_nothing_is_refused(images: list[Image.Image], columns: int | None) -> None:
    with pytest.raises(ValueError, match="at least"):
        image_grid(images, columns)


def test_enlarging_repeats_pixels_exactly() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    large = np.asarray(enlarge(Image.fromarray(pixels), 4))
    assert np.array_equal(large, pixels.repeat(4, axis=0).repeat(4, axis=1))
    with pytest.raises(ValueError, match="factor must be at least 1"):
        enlarge(Image.fromarray(pixels), 0)


def test_a_mask_is_grey_and_black_where_it_is_transparent(tmp_path: Path) -> None:
    strokes = Image.new("LA", (3, 1))
    strokes.putdata([(255, 255), (255, 0), (90, 255)])
    strokes.save(tmp_path / "mask.png")
    mask = open_mask(tmp_path / "mask.png", max_pixels=100)
    assert (mask.mode, mask.tobytes()) == ("L", bytes([255, 0, 90]))
    assert open_image(tmp_path / "mask.png", max_pixels=100).getpixel((1, 0)) == (255, 255, 255)
