"""No picture takes the machine: what hostile files cost at every door, in a process of its own."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sd_app.images import MAX_KEPT_PIXELS, look_at_image, open_image
from sd_app.metadata import read_infotext
from sd_app.picture_files import MAX_FRAMES, gif
from tests.hostile_pictures import GIF, GIF_FRAME, LARGE, SMALL, chained_tiff, chunk, exif, png, tiff
from tests.photos import peak_megabytes
from tests.test_images import encode

# Every door of a picture ends in one of these: the canvas, masks and uploads, the interrogator and the
# matrix, the command line and its folders, HTTP, and the metadata of a dropped file.
DOORS = """
import sys
from pathlib import Path
from PIL import Image
from sd_app.images import look_at_image, open_image, open_mask
from sd_app.metadata import read_infotext
import numpy, PIL.ImageCms
Image.init()
base()
scaled = lambda path: open_image(path, max_pixels=2048 * 2048)
doors = (look_at_image, scaled, open_image, open_mask, read_infotext)
for path in sorted(Path(sys.argv[1]).iterdir()):
    for door in doors:
        try:
            door(path)
        except ValueError as error:
            assert str(error).startswith(path.name), error
            assert str(error).endswith(")"), error
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    for name, make in SMALL.items():
        (folder / name).write_bytes(make())
    return folder


def test_no_small_hostile_file_takes_more_than_300_megabytes_at_any_door(small: Path) -> None:
    assert peak_megabytes(DOORS, small) < 300


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", LARGE)
def test_the_largest_picture_takes_2_gigabytes_at_most(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(LARGE[name]())
    assert peak_megabytes(DOORS, tmp_path) < 2_000


CLIP = """
from pathlib import Path
from PIL import Image
from sd_app import *
studio = Studio(Settings(device="cpu"))
known = dict(mode="fast", caption="a", max_phrases=1)
drawn = dict(prompt="a", num_inference_steps=2)
studio.interrogate(InterrogateRequest(image=Image.new("RGB", (64, 64)), **known))
studio.match(MatchRequest(images=[Image.new("RGB", (64, 64))], texts=["a"]))
base()
for path in sorted(Path(sys.argv[1]).iterdir()):
    for job in (
        lambda: studio.interrogate(InterrogateRequest(image=path, **known)),
        lambda: studio.match(MatchRequest(images=[path] * 3, texts=["a"])),
        lambda: studio.img2img(Img2ImgRequest(init_image=path, **drawn), save=False),
    ):
        try:
            job()
        except ValueError as error:
            assert path.name in str(error), error
"""


@pytest.mark.slow
def test_no_small_hostile_file_takes_more_in_a_job(small: Path) -> None:
    assert peak_megabytes(CLIP, small) < 600


# -- what is refused, and what is not


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: SMALL["tile.tif"](), r"tiles of at most 64,000,000 pixels, got 40000x40000 \("),
        (lambda: SMALL["tag.tif"](), r"at most 1,000,000 numbers in a tag, got 20,000,000 in tag 33000 \("),
        (lambda: SMALL["comment.gif"](), r"at most 4 MB beside its frames \("),
        (
            lambda: SMALL["169-megapixels-in-34-bytes.webp"](),
            r"93,750,000 pixels as WEBP, got 13000x13000 \(",
        ),
    ],
)
def test_what_no_program_writes_is_refused_in_words(data, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data())
    for source in (path, data()):
        for door in (look_at_image, open_image):
            with pytest.raises(ValueError, match=words):
                door(source)


def test_frames_are_counted_up_to_a_thousand_and_that_is_said() -> None:
    for data in (GIF + GIF_FRAME * 5_000 + b";", chained_tiff(5_000)):
        facts = look_at_image(data)
        assert facts.frames == MAX_FRAMES
        assert "has 1,000 or more frames or pages" in facts.remark()
    assert look_at_image(GIF + GIF_FRAME * 7 + b";").frames == 7


def test_blocks_of_a_gif_are_skipped_to_the_empty_one_and_no_more_than_may_be(monkeypatch) -> None:
    blocks = BytesIO(b"\1a\2bb\1c\0" + GIF_FRAME)
    assert gif._skip_blocks(blocks, 100) == (4, 3)
    assert blocks.read() == GIF_FRAME
    blocks.seek(0)
    assert gif._skip_blocks(blocks, 2) == (3, 2)
    # Of frames, too, no more blocks are looked at than may be: this one has one, and the next is not counted.
    three = GIF + GIF_FRAME * 3 + b";"
    assert gif.check_gif(BytesIO(three), 10) == 3
    monkeypatch.setattr(gif, "MAX_BLOCKS", 2)
    assert gif.check_gif(BytesIO(three), 10) == 2


def test_the_frames_of_honest_files_are_counted_as_pillow_counts_them() -> None:
    frames = [Image.new("P", (20, 10), k) for k in range(5)]
    for image_format in ("GIF", "TIFF", "WEBP", "PNG"):
        data = encode(frames[0], image_format, save_all=True, append_images=frames[1:])
        assert look_at_image(data).frames == getattr(Image.open(BytesIO(data)), "n_frames", 1), image_format
    big = encode(frames[0], "TIFF", save_all=True, append_images=frames[1:], big_tiff=True)
    assert look_at_image(big).frames == 5


def test_honest_tiles_strips_comments_and_exif_are_read(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8))
    for options in ({"compression": "tiff_lzw"}, {"tiffinfo": {278: 1}}, {"big_tiff": True}):
        assert open_image(encode(noise, "TIFF", **options)).tobytes() == noise.tobytes()
    assert open_image(encode(noise.convert("P"), "GIF", comment=b"a" * 100_000)).size == noise.size
    assert open_image(tiff([(37510, 7, 3_000_000, bytes(3_000_000))])).size == (8, 8)


def test_a_look_at_a_png_decodes_no_pixel_and_finds_exif_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    turned = chunk(b"eXIf", exif(1, 6))
    rows = zlib.compress(b"".join(b"\0" + bytes(3 * 4) for _ in range(2)))
    for data in (png(4, 2, 8, 2, rows, turned), png(4, 2, 8, 2, rows, after=turned)):
        assert open_image(data).size == (2, 4)
        with monkeypatch.context() as patched:
            patched.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: 1 / 0)
            facts = look_at_image(data)
        assert (facts.width, facts.height) == (2, 4)


def test_a_picture_that_keeps_its_size_has_a_bound_of_its_own() -> None:
    side = int(MAX_KEPT_PIXELS**0.5) + 1
    lying = png(side, side, 8, 2, b"no rows at all")
    with pytest.raises(ValueError, match="at most 120,000,000 pixels to keep its size"):
        open_image(lying)
    with pytest.raises(ValueError, match="damaged"):
        open_image(lying, max_pixels=1_000_000)


def test_texts_of_a_png_are_read_up_to_16_megabytes_in_all(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(SMALL["texts.png"]())
    with pytest.raises(ValueError, match="at most 4,000,000 are read"):
        read_infotext(path)
    text = b"a cat\nSteps: 20, Sampler: DDIM, CFG scale: 7, Seed: 1, Size: 64x64"
    many = [chunk(b"tEXt", b"key %d\0" % k + bytes(60_000)) for k in range(100)]
    rows = zlib.compress(bytes(8 * 25))
    path.write_bytes(png(8, 8, 8, 2, rows, *many, chunk(b"tEXt", b"parameters\0" + text)))
    assert read_infotext(path) == text.decode()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_tiff_that_is_cut_off_or_runs_in_a_circle_ends() -> None:
    whole = tiff()
    circle = bytearray(whole)
    at = 8 + 2 + 12 * struct.unpack("<H", whole[8:10])[0]
    circle[at : at + 4] = struct.pack("<I", 8)
    assert look_at_image(bytes(circle)).frames == 1
    for end in range(9, len(whole), 7):
        try:
            look_at_image(whole[:end])
        except ValueError as error:
            assert str(error).startswith("the picture ")  # noqa: PT017
