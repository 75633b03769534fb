"""Comments in the encodings that are met in the wild, wrongly marked or not at all."""

from pathlib import Path

import pytest
from PIL import ExifTags, Image

from sd_app.metadata import png_bytes, read_infotext
from sd_app.metadata.text_decoding import decode_comment, decode_latin
from tests.foreign_forms import EXIF_IFD, PICTURE, USER_COMMENT, xmp

LINE = "Steps: 22, Sampler: Euler a, CFG scale: 6.5, Seed: 5, Size: 512x768"
TEXTS = (
    f"a cat\nNegative prompt: bad\n{LINE}",
    f"a cat 猫\n{LINE}",
    f"{'猫が一匹いる。' * 50}\n{LINE}",
    f"{'一' * 200}\n{LINE}",
    f"{'愛' * 200}\nNegative prompt: {'悪' * 100}\n{LINE}",
    f"кошка, gato, Katze 🐈‍⬛\n{LINE}",
    f"قط\n{LINE}",
    '{"prompt": "고양이"}',
    "a cat",
    "猫が一匹いる",
    "고양이 한 마리",
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-16", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("code", [b"UNICODE\0", b"ASCII\0\0\0", bytes(8), b"JIS\0\0\0\0\0", b""])
def test_the_content_tells_the_encoding_whatever_the_code_says(text: str, encoding: str, code: bytes) -> None:
    data = text.encode(encoding)
    for padding in (b"", b"\0\0\0"):
        assert decode_comment(code + data + padding) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("café".encode("cp1252"), "café"),
        (f"naïve café\n{LINE}".encode("latin-1"), f"naïve café\n{LINE}"),
        (f"{'cat ' * 400}café\n{LINE}".encode("latin-1"), f"{'cat ' * 400}café\n{LINE}"),
        (b"JIS\0\0\0\0\0" + "猫が".encode("iso2022_jp"), "猫が"),
        (b"JIS\0\0\0\0\0" + "猫が一匹".encode("shift_jis"), "猫が一匹"),
        (("猫" * 400).encode()[:-1], "猫" * 399 + "\ufffd"),  # cut off within a letter
        (b"UNICODE\0" + "a cat".encode("utf-16-be") + b"\0", "a cat"),  # half a unit too much
        (b"", ""),
        (b"\0\0\0\0", ""),
        (b"UNICODE\0", ""),
    ],
)
def test_what_is_no_unicode_at_all_is_read_too(data: bytes, text: str) -> None:
    assert decode_comment(data) == text


def test_our_own_latin_text_is_never_taken_for_utf_8(tmp_path: Path) -> None:
    ours = f"a Ã© cat\n{LINE}, Version: sd_app 0.2.0"
    (tmp_path / "a.png").write_bytes(png_bytes(PICTURE, ours))
    assert read_infotext(tmp_path / "a.png") == ours
    assert decode_latin("Ã©".encode("latin-1")) == "é"


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("tag", [USER_COMMENT, ExifTags.Base.ImageDescription, ExifTags.Base.XPComment])
def test_the_main_directory_is_read_too(tag: int, image_format: str, tmp_path: Path) -> None:
    for text in TEXTS[:6]:
        exif = Image.Exif()
        exif[tag] = text.encode("utf-16-le") if tag == ExifTags.Base.XPComment else text.encode()
        PICTURE.save(tmp_path / "a", image_format, exif=exif.tobytes())
        assert read_infotext(tmp_path / "a") == text


def test_the_sub_directory_goes_before_the_main_one(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[USER_COMMENT] = f"main\n{LINE}"
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"ASCII\0\0\0" + f"sub\n{LINE}".encode()
    PICTURE.save(tmp_path / "a.jpg", exif=exif)
    assert read_infotext(tmp_path / "a.jpg") == f"sub\n{LINE}"


def test_a_comment_and_xmp_are_read_and_a_cameras_words_are_not(tmp_path: Path) -> None:
    text = f"a cat 猫 & <dog>\n{LINE}"
    PICTURE.save(tmp_path / "comment.jpg", comment=text.encode())
    PICTURE.save(tmp_path / "xmp.jpg", xmp=xmp(text).encode())
    PICTURE.save(tmp_path / "xmp.webp", xmp=xmp(text).encode())
    for name in ("comment.jpg", "xmp.jpg", "xmp.webp"):
        assert read_infotext(tmp_path / name) == text, name
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x010E] = "Canon", "EOS 80D", "My holiday: sea, sun, sand"
    PICTURE.save(tmp_path / "camera.jpg", exif=exif, comment=b"made by a camera")
    assert read_infotext(tmp_path / "camera.jpg") is None


def test_exif_in_a_png_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"UNICODE\0" + TEXTS[1].encode("utf-16-be")
    PICTURE.save(tmp_path / "a.png", exif=exif.tobytes())
    assert read_infotext(tmp_path / "a.png") == TEXTS[1]
