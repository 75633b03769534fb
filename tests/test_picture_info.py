"""Picture info: all that a file says is told, with what becomes of it; nothing is lost."""

import json
import os
from io import BytesIO
from pathlib import Path

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.cli import main
from sd_app.metadata import PictureInfo, read_infotext, read_picture_info, save_image
from tests.foreign_forms import PICTURE, png_with
from tests.hostile_pictures import chunk, small_png

FOREIGN = sorted((Path(__file__).parent / "foreign_pictures").iterdir())
A1111 = (
    "a cat\nNegative prompt: blurry\nSteps: 4, Sampler: Euler a, CFG scale: 99, Seed: 5, Size: 64x64,"
    " Model: gone, Extra thing: <b>, Version: v1.10.1"
)


def info_of(data: bytes, tmp_path: Path, name: str = "p.png", **here: tuple[str, ...]) -> PictureInfo:
    (tmp_path / name).write_bytes(data)
    return read_picture_info(tmp_path / name, **here)


def states(info: PictureInfo) -> dict[str, str]:
    return {one.name: one.state for one in info.fields}


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: path.name)
def test_of_every_programs_picture_the_parameters_and_the_texts_they_stand_in_are_told(path: Path) -> None:
    info = read_picture_info(path)
    assert info.infotext == read_infotext(path)
    assert {"Steps", "Seed"} & set(states(info))
    assert info.texts
    assert info.kinds
    assert dict(info.facts)["Size in pixels"] == "16 x 16"
    json.dumps(info.as_json())


def test_each_setting_says_what_becomes_of_it(tmp_path: Path) -> None:
    info = info_of(png_with({"parameters": A1111}), tmp_path, models=("tiny-sd",))
    assert info.program == "AUTOMATIC1111's web UI 1.10.1"
    assert info.kinds == ("txt2img",)
    found = {one.name: (one.value, one.state, one.label, one.reason) for one in info.fields}
    assert found["Prompt"] == ("a cat", "used", "Prompt", "")
    assert found["Size"] == ("64x64", "used", "Width and height", "")
    assert found["CFG scale"] == ("99", "not used", "", "must be a number from 0 to 30")
    assert found["Model"] == ("gone", "not used", "", "it is not here")
    assert found["Version"][1] == "no part of the drawing"
    assert [text.text for text in info.texts] == [A1111]
    assert found["Extra thing"] == ("<b>", "not used", "", "no such field here")
    here = states(info_of(png_with({"parameters": A1111}), tmp_path, models=("GONE",)))
    assert here["Model"] == "used"


def test_nothing_of_our_own_picture_is_left_unused(tmp_path: Path) -> None:
    request = Txt2ImgRequest(
        prompt="a {cat + dog}",
        negative_prompt="x",
        num_inference_steps=3,
        guidance_scale=3.0,
        scheduler="DDIM",
        schedule_type="Uniform",
        width=64,
        height=64,
        model="tiny-sd",
    )
    info = read_picture_info(save_image(PICTURE, request, outputs_dir=tmp_path, seed=2), models=("tiny-sd",))
    assert info.program.startswith("Glass-box Studio")
    assert {one.state for one in info.fields if one.name != "Version"} == {"used"}
    assert (info.remarks, info.unread) == ((), ())


def test_all_texts_are_there_also_doubles_and_those_without_meaning(tmp_path: Path) -> None:
    data = small_png(
        chunk(b"tEXt", b"Comment\0one <script>"),
        chunk(b"tEXt", b"Comment\0two"),
        after=chunk(b"tEXt", b"A\0z"),
    )
    info = info_of(data, tmp_path)
    assert [(one.place, one.text) for one in info.texts] == [
        ("PNG text: Comment", "one <script>"),
        ("PNG text: A", "z"),
        ("PNG text: Comment", "two"),
    ]
    assert (info.fields, info.infotext) == ((), "")


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
def test_exif_is_told_tag_by_tag(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.ImageDescription] = "Camera", "café"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"UNICODE\0" + A1111.encode("utf-16-be")
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    stream = BytesIO()
    PICTURE.save(stream, kind, exif=exif.tobytes())
    info = info_of(stream.getvalue(), tmp_path, f"p.{kind}")
    facts = dict(info.facts)
    assert (facts["Make"], facts["GPSLatitudeRef"], facts["Format"]) == ("Camera", "N", kind.upper())
    assert "caf" in facts["ImageDescription"]
    assert states(info)["Steps"] == "used"
    assert [(one.place, one.text) for one in info.texts] == [("EXIF: UserComment", A1111)]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_text_of_fifty_megabytes_is_said_and_the_other_texts_are_read(
    tmp_path: Path, compressed: bool
) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "x" * 50_000_000, zip=compressed)
    texts.add_text("Comment", "a small one")
    stream = BytesIO()
    PICTURE.save(stream, "png", pnginfo=texts)
    info = info_of(stream.getvalue(), tmp_path)
    assert "a small one" in [one.text for one in info.texts]
    assert "4,000,000" in info.unread[0]
    assert "parameters" in info.unread[0]


def test_what_cannot_be_read_is_said_and_the_text_stays(tmp_path: Path) -> None:
    info = info_of(png_with({"parameters": '{"what": 1}'}), tmp_path)
    assert info.unread == ("The parameters are JSON of a form that this app does not know (it holds what).",)
    assert info.texts[0].text == '{"what": 1}'
    deep = info_of(png_with({"prompt": '{"a":' * 200 + "1" + "}" * 200}), tmp_path)
    assert deep.texts[0].text.startswith('{"a":{"a":')
    signed = info_of(
        small_png(chunk(b"caBX", bytes(500)), chunk(b"tEXt", b"parameters\0" + A1111.encode())), tmp_path
    )
    assert signed.unread == ("It holds Content Credentials (C2PA, 500 bytes), which are not read here.",)
    cut = png_with({"parameters": A1111})
    assert states(info_of(cut[:-30], tmp_path))["Seed"] == "used"


def test_the_command_reads_several_files_and_names_those_that_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(odd)).write_bytes(png_with({"parameters": A1111}))
    (tmp_path / "note.txt").write_text("no picture")
    arguments = ["info", os.fsdecode(odd), str(tmp_path / "note.txt"), "--models-dir", str(tmp_path)]
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert "caf?.png" in shown.out
    assert "CFG scale: 99 [not used (must be a number from 0 to 30)]" in shown.out
    assert "note.txt is not a picture with parameters" in shown.err
    assert main([*arguments[:2], "--json", *arguments[3:]]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["texts"][0]["text"] == A1111


def test_the_studio_knows_which_models_are_here(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(png_with({"parameters": A1111.replace("gone", "tiny-sd")}))
    studio = Studio(Settings(models_dir=tmp_path, outputs_dir=tmp_path))
    assert states(studio.picture_info(tmp_path / "p.png"))["Model"] == "used"
