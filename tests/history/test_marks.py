"""Marks of pictures: one file that is only added to, by several programs, and survives a crash."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sd_app.history import Marks
from sd_app.history.marks import FILE

NAME = "2026-11-27/00001-7.png"


def test_a_mark_is_there_for_the_next_program_and_none_takes_it_away(tmp_path: Path) -> None:
    marks = Marks(tmp_path)
    marks.set(NAME, "like")
    marks.set("2026-11-27/00002-8.png", "dislike")
    assert Marks(tmp_path).of(NAME) == "like"
    marks.set(NAME, "favourite")
    assert Marks(tmp_path).all() == {NAME: "favourite", "2026-11-27/00002-8.png": "dislike"}
    marks.set(NAME, None)
    assert marks.of(NAME) is None
    assert Marks(tmp_path).all() == {"2026-11-27/00002-8.png": "dislike"}


def test_a_path_may_be_absolute_and_means_the_same(tmp_path: Path) -> None:
    marks = Marks(tmp_path)
    marks.set(tmp_path / "2026-11-27" / "00001-7.png", "like")
    assert dict(marks.all()) == {NAME: "like"}
    assert marks.of(f"2026-11-26/../{NAME}") == "like"


def test_a_folder_reached_by_a_link_has_the_same_marks(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    marks = Marks(tmp_path / "link")
    marks.set((tmp_path / "link" / NAME).resolve(), "like")
    assert dict(marks.all()) == dict(Marks(tmp_path / "real").all()) == {NAME: "like"}


def test_a_name_that_is_no_utf_8_keeps_its_mark(tmp_path: Path) -> None:
    name = os.fsdecode(b"2026-11-27/caf\xe9.png")
    Marks(tmp_path).set(name, "favourite")
    assert Marks(tmp_path).of(Path(name)) == "favourite"


@pytest.mark.parametrize("path", ["../outside.png", "/etc/passwd", ".", "2026-11-27/../../x.png"])
def test_only_pictures_inside_are_marked(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="is not in the outputs folder"):
        Marks(tmp_path / "outputs").set(path, "like")
    assert not (tmp_path / "outputs").exists()


def test_an_unknown_mark_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mark must be one of like, dislike, favourite or none, got love"):
        Marks(tmp_path).set(NAME, "love")  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_half_a_line_after_a_crash_is_passed_over_and_the_next_mark_is_whole(
    tmp_path: Path, cut: int
) -> None:
    marks = Marks(tmp_path)
    marks.set("a.png", "like")
    marks.set("b.png", "like")
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-cut])
    again = Marks(tmp_path)
    assert dict(again.all()) == {"a.png": "like"}
    again.set("c.png", "dislike")
    assert dict(Marks(tmp_path).all()) == dict(again.all()) == {"a.png": "like", "c.png": "dislike"}


def test_a_line_that_is_still_being_written_counts_when_it_is_whole(tmp_path: Path) -> None:
    marks = Marks(tmp_path)
    marks.set("a.png", "like")
    line = b'\n{"path": "b.png", "mark": "like"}'
    with (tmp_path / FILE).open("ab") as file:
        file.write(line[:20])
        file.flush()
        assert dict(marks.all()) == {"a.png": "like"}
        file.write(line[20:])
    assert dict(marks.all()) == {"a.png": "like", "b.png": "like"}


def test_what_is_no_mark_is_passed_over(tmp_path: Path) -> None:
    bad = [
        "[1]",
        "null",
        '{"path": 3, "mark": "like"}',
        '{"path": "x", "mark": "love"}',
        "[" * 100_000,
        "\xff",
    ]
    (tmp_path / FILE).write_text("\n".join([*bad, '{"path": "b.png", "mark": "like"}', *bad]), "latin-1")
    assert dict(Marks(tmp_path).all()) == {"b.png": "like"}


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    marks = Marks(tmp_path)
    marks.set("a.png", "like")
    assert marks.of("a.png") == "like"
    other = tmp_path / "other"
    other.write_text('{"path": "c.png", "mark": "like"}\n' * 9)
    other.replace(tmp_path / FILE)
    assert dict(marks.all()) == {"c.png": "like"}
    (tmp_path / FILE).unlink()
    assert dict(marks.all()) == {}


def test_a_picture_that_gets_another_name_keeps_its_mark(tmp_path: Path) -> None:
    marks = Marks(tmp_path)
    marks.set(NAME, "favourite")
    marks.move(NAME, "trash/00001-7.png")
    assert dict(Marks(tmp_path).all()) == {"trash/00001-7.png": "favourite"}
    marks.move("unmarked.png", "trash/unmarked.png")
    assert dict(marks.all()) == {"trash/00001-7.png": "favourite"}


def test_two_processes_add_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    code = (
        "import sys; from sd_app.history import Marks; marks = Marks(sys.argv[1])\n"
        "for number in range(300): marks.set(f'{sys.argv[2]}/{number}.png', 'like')"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name], cwd=Path(__file__).parents[2])
        for name in ("one", "two")
    ]
    assert [one.wait(60) for one in running] == [0, 0]
    assert len(Marks(tmp_path).all()) == 600


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"marks\.jsonl cannot be written: No space left on device"):
        Marks(tmp_path).set(NAME, "like")
