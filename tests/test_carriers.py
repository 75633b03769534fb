"""Pictures that carry an infotext: PNG, and the EXIF comment of other formats."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from PIL import Image, PngImagePlugin

from sd_app.metadata import png_bytes, read_infotext, to_infotext
from sd_app.requests import Txt2ImgRequest
from tests.infotexts import PICTURE, PLAIN, resolved_requests


@settings(max_examples=50, deadline=None)
@given(resolved_requests())
@example(replace(PLAIN, model="caf\udce9 of an old disk"))
def test_a_request_survives_the_picture_file(request_: Txt2ImgRequest) -> None:
    text = to_infotext(request_)
    stream = BytesIO(png_bytes(PICTURE, text))
    assert read_infotext(Image.open(stream)) == text


@pytest.mark.parametrize("text", [to_infotext(PLAIN), to_infotext(replace(PLAIN, prompt="猫 🐈\nnew line"))])
@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-16"])
def test_other_formats_hold_it_in_the_exif_comment(
    tmp_path: Path, image_format: str, text: str, encoding: str
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode(encoding)
    path = tmp_path / "picture"
    PICTURE.save(path, image_format, exif=exif)
    assert read_infotext(path) == text


def test_an_ascii_comment_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + b"a cat"
    PICTURE.save(tmp_path / "a.jpg", exif=exif)
    assert read_infotext(tmp_path / "a.jpg") == "a cat"


@pytest.mark.parametrize("text", [to_infotext(PLAIN), to_infotext(replace(PLAIN, prompt="猫 🐈\nnew line"))])
def test_a_gif_holds_it_in_its_comment_and_a_tiff_in_its_description(tmp_path: Path, text: str) -> None:
    PICTURE.save(tmp_path / "a.gif", comment=text.encode())
    assert read_infotext(tmp_path / "a.gif") == text
    PICTURE.save(tmp_path / "a.tif", tiffinfo={0x010E: text.encode()})
    assert read_infotext(tmp_path / "a.tif") == text
    PICTURE.save(tmp_path / "b.gif", comment=b"Created with GIMP")
    assert read_infotext(tmp_path / "b.gif") is None


@pytest.mark.parametrize("comment", ["Screenshot", "   \0\0", "screenshot "])
def test_a_phones_comment_is_no_prompt(tmp_path: Path, comment: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + comment.encode()
    PICTURE.save(tmp_path / "a.jpg", exif=exif)
    assert read_infotext(tmp_path / "a.jpg") is None
    exif[0x010F] = "Canon"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0my holiday"
    PICTURE.save(tmp_path / "b.jpg", exif=exif)
    assert read_infotext(tmp_path / "b.jpg") is None


@pytest.mark.parametrize("charset", [b'charset="Ascii" ', b"charset=Unicode "])
def test_a_charset_in_front_of_the_comment_is_no_part_of_it(tmp_path: Path, charset: bytes) -> None:
    exif, text = Image.Exif(), to_infotext(PLAIN)
    encoding = "utf-16-be" if b"Unicode" in charset else "utf-8"
    exif.get_ifd(0x8769)[0x9286] = charset + text.encode(encoding)
    PICTURE.save(tmp_path / "a.jpg", exif=exif)
    assert read_infotext(tmp_path / "a.jpg") == text


def test_exif_that_imagemagick_wrote_into_a_text_is_read(tmp_path: Path) -> None:
    exif, text = Image.Exif(), to_infotext(PLAIN)
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    digits = exif.tobytes().hex()
    lines = [digits[start : start + 72] for start in range(0, len(digits), 72)]
    chunks = PngImagePlugin.PngInfo()
    profile = "\n".join(["", "exif", f"{len(digits) // 2:8}", *lines, ""])
    chunks.add_text("Raw profile type exif", profile, zip=True)
    PICTURE.save(tmp_path / "a.png", pnginfo=chunks)
    assert read_infotext(tmp_path / "a.png") == text
    chunks.add_text("Raw profile type APP1", "\nexif\n 3\nxyz")
    PICTURE.save(tmp_path / "b.png", pnginfo=chunks)
    assert read_infotext(tmp_path / "b.png") == text


def test_a_blank_text_of_parameters_does_not_hide_the_graph_beside_it(tmp_path: Path) -> None:
    chunks = PngImagePlugin.PngInfo()
    graph = '{"3": {"class_type": "KSampler", "inputs": {"steps": 3, "cfg": 1, "sampler_name": "euler"}}}'
    chunks.add_text("parameters", "  ")
    chunks.add_text("prompt", graph)
    PICTURE.save(tmp_path / "a.png", pnginfo=chunks)
    assert "KSampler" in (read_infotext(tmp_path / "a.png") or "")


def test_a_picture_without_parameters_says_none_and_a_text_file_is_refused(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    PICTURE.save(tmp_path / "b.jpg")
    assert read_infotext(tmp_path / "a.png") is None
    assert read_infotext(tmp_path / "b.jpg") is None
    (tmp_path / "c.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"c\.png is not a picture with parameters"):
        read_infotext(tmp_path / "c.png")
