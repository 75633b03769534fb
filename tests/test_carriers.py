"""Pictures that carry an infotext: PNG, and the EXIF comment of other formats."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from PIL import Image

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


def test_a_picture_without_parameters_says_none_and_a_text_file_is_refused(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    PICTURE.save(tmp_path / "b.jpg")
    assert read_infotext(tmp_path / "a.png") is None
    assert read_infotext(tmp_path / "b.jpg") is None
    (tmp_path / "c.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"c\.png is not a picture with parameters"):
        read_infotext(tmp_path / "c.png")
