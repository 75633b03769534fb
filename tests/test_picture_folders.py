"""Which files of a folder are pictures: by what they hold, without what systems leave there."""

import os
from pathlib import Path

import pytest
from PIL import Image

from sd_app.cli.interrogate import find_pictures
from sd_app.cli.picture_folders import list_pictures
from tests.test_images import encode

RED = Image.new("RGB", (16, 16), "red")
KINDS = {
    "a.png": "PNG", "b.JPG": "JPEG", "c.jfif": "JPEG", "d.jpe": "JPEG", "e.JIF": "JPEG", "f.tif": "TIFF",
    "g.TIFF": "TIFF", "h.webp": "WEBP", "i.avif": "AVIF", "j.gif": "GIF", "k.bmp": "BMP", "l": "PNG",
    "m.download": "JPEG", "n.txt": "WEBP", "o.dat": "AVIF", "p.jpg_large": "JPEG", "q.png": "JPEG",
}  # fmt: skip


def test_pictures_are_told_by_what_they_hold_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, image_format in KINDS.items():
        (tmp_path / name).write_bytes(encode(RED, image_format))
    assert [path.name for path in list_pictures(tmp_path)] == list(KINDS)
    assert find_pictures([tmp_path]) == list_pictures(tmp_path)


def test_what_systems_leave_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(encode(RED))
    for name in (".hidden.png", "._mine.png", ".DS_Store", "Thumbs.db", "desktop.ini", "ehthumbs.db"):
        (tmp_path / name).write_bytes(encode(RED))
    for name in ("notes.txt", "model.safetensors", "prompts.csv", "BMW.md"):
        (tmp_path / name).write_text("BM of no picture, II or MM")
    for name in ("x.png", "__MACOSX", ".thumbnails"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "inside.png").write_bytes(encode(RED))
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "there.png").symlink_to(tmp_path / "back.png")
    (tmp_path / "back.png").symlink_to(tmp_path / "there.png")
    (tmp_path / "dead.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "up.png").symlink_to(tmp_path)
    (tmp_path / "linked.png").symlink_to(tmp_path / "mine.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert [path.name for path in list_pictures(tmp_path)] == ["linked.png", "mine.png"]
    assert list_pictures(tmp_path / "__MACOSX") == []


def test_a_damaged_picture_stays_in_the_list_to_be_named_when_its_turn_comes(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(encode(RED)[:30])
    (tmp_path / "empty.jpg").touch()
    assert [path.name for path in list_pictures(tmp_path)] == ["cut.png", "empty.jpg"]


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"image must name a picture, .* holds none"):
        find_pictures([tmp_path])


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> list[Path]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ValueError, match=r"a folder that can be read, .* cannot: Permission denied"):
        find_pictures([tmp_path])
