"""Deleting is moving into the trash, with what belongs to a picture, and back to where it was."""

import multiprocessing
import os
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sd_app.history import History, scanning
from sd_app.metadata import save_image
from sd_app.requests import Txt2ImgRequest
from tests.history.picture_files import history_of, names, put

BESIDE = ("00001-7-raw.png", "00001-7-film.webp", "00001-7.txt")


def with_companions(outputs: Path) -> None:
    put(outputs, "2026-11-20/00001-7.png")
    for name in BESIDE:
        (outputs / "2026-11-20" / name).write_bytes(name.encode())


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".jsonl")
    }


def test_a_picture_goes_into_the_trash_with_its_companions_and_comes_back(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    with_companions(outputs)
    put(outputs, "2026-11-20/00002-8.png")
    before = {name: (outputs / name).read_bytes() for name in files_of(outputs)}
    history = history_of(tmp_path)
    history.scan()
    history.mark(["2026-11-20/00001-7.png"], "favourite")
    [moved] = history.throw_away(["2026-11-20/00001-7.png"])
    assert files_of(outputs) == {
        "2026-11-20/00002-8.png",
        "trash/2026-11-20/00001-7.png",
        *(f"trash/2026-11-20/{name}" for name in BESIDE),
    }
    assert names(history) == ["2026-11-20/00002-8.png"]
    assert names(history, "cat", trashed=True) == ["trash/2026-11-20/00001-7.png"]
    assert set(history.find(moved.new).companions) == {"raw", "film", "txt"}
    history.scan()
    assert names(history, trashed=True) == [moved.new]
    history.put_back([moved.new])
    assert {name: (outputs / name).read_bytes() for name in files_of(outputs)} == before
    assert history.find("2026-11-20/00001-7.png").mark == "favourite"
    assert history.count() == 2
    history.scan()
    assert history.count() == 2


def test_a_picture_whose_number_was_given_away_gets_the_next_one(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    with_companions(outputs)
    history = history_of(tmp_path)
    history.scan()
    [moved] = history.throw_away(["2026-11-20/00001-7.png"])
    new = put(outputs, "2026-11-20/00001-7.png", "another cat").read_bytes()
    history.scan()
    [second] = history.throw_away(["2026-11-20/00001-7.png"])
    assert second.new == "trash/2026-11-20~2/00001-7.png"
    history.put_back([second.new])
    assert (outputs / "2026-11-20/00001-7.png").read_bytes() == new
    [back] = history.put_back([moved.new])
    assert back.new == "2026-11-20/00002-7.png"
    assert set(history.find(back.new).companions) == {"raw", "film", "txt"}
    assert (outputs / "2026-11-20/00002-7-raw.png").read_bytes() == b"00001-7-raw.png"
    history.scan()
    assert sorted(names(history)) == ["2026-11-20/00001-7.png", "2026-11-20/00002-7.png"]


def test_the_number_of_a_picture_in_the_trash_is_not_given_to_the_next_one(tmp_path: Path) -> None:
    request = Txt2ImgRequest(prompt="a cat", model="m", scheduler="Euler", width=64, height=64)
    request = replace(request, num_inference_steps=5, guidance_scale=4.0)
    image = Image.new("RGB", (64, 64))
    first = save_image(image, request, outputs_dir=tmp_path / "outputs", seed=7)
    history = history_of(tmp_path)
    history.scan()
    [moved] = history.throw_away([history.marks.name_of(first)])
    second = save_image(image, request, outputs_dir=tmp_path / "outputs", seed=7)
    assert (first.name, second.name) == ("00000-7.png", "00001-7.png")
    assert history.put_back([moved.new])[0].new == history.marks.name_of(first)


def test_another_tools_picture_gets_a_number_behind_its_name(tmp_path: Path) -> None:
    put(tmp_path / "outputs", "cat.png")
    history = history_of(tmp_path)
    history.scan()
    [moved] = history.throw_away(["cat.png"])
    assert moved.new == "trash/cat.png"
    put(tmp_path / "outputs", "cat.png")
    history.scan()
    assert history.put_back([moved.new])[0].new == "cat (2).png"


def test_what_is_gone_meanwhile_is_said(tmp_path: Path) -> None:
    path = put(tmp_path / "outputs", "a/1.png")
    history = history_of(tmp_path)
    history.scan()
    path.unlink()
    with pytest.raises(LookupError, match=r"1\.png is not there any more"):
        history.throw_away(["a/1.png"])
    with pytest.raises(LookupError, match="this picture is not there any more"):
        history.put_back(["trash/a/1.png"])
    with pytest.raises(LookupError, match="not there any more"):
        history.throw_away(["../../etc/passwd"])


def test_a_folder_that_may_not_be_written_is_said_and_nothing_moves(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        outputs = tmp_path / "outputs"
        put(outputs, "a/1.png")
        (outputs / "trash").write_text("a file in the way")
        history = history_of(tmp_path)
        history.scan()
        with pytest.raises(OSError, match=r"1\.png cannot be moved"):
            history.throw_away(["a/1.png"])
        assert names(history) == ["a/1.png"]


def move_to_and_fro(tmp_path: Path, ready: int) -> None:
    """Throw a picture away, put it back, look at the folder, for ever."""
    history = history_of(tmp_path)
    history.scan()
    os.write(ready, b".")
    while True:
        for trashed in (False, True):
            for name in names(history, "seed:7 name:00001", trashed=trashed):
                (history.put_back if trashed else history.throw_away)([name])
        history.scan()


def test_killed_thirty_times_in_the_middle_nothing_is_lost_and_all_heals(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    with_companions(outputs)
    for number in range(2, 12):
        put(outputs, f"2026-11-20/{number:05}-7.png")
    before = sorted((outputs / name).read_bytes() for name in files_of(outputs))
    chance = random.Random(7)
    for _ in range(30):
        killed(move_to_and_fro, tmp_path, chance.random() * 0.03)
        check(tmp_path, before)


def read_from_the_start(tmp_path: Path, ready: int) -> None:
    os.write(ready, b".")
    history_of(tmp_path).scan()
    time.sleep(60)


def test_killed_thirty_times_while_the_folder_is_read_the_index_stays_sound(tmp_path: Path) -> None:
    for number in range(300):
        put(tmp_path / "outputs", f"a/{number}.png", f"cat number {number}")
    chance = random.Random(7)
    for _ in range(30):
        killed(read_from_the_start, tmp_path, chance.random() * 0.04)
        history = history_of(tmp_path)
        assert history.count("cat") == history.count() <= 300  # words and rows agree
    history = history_of(tmp_path)
    history.scan()
    assert history.count("cat") == history.count() == 300
    [path] = (tmp_path / "cache").rglob("index.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def killed(act: Callable[[Path, int], None], tmp_path: Path, seconds: float) -> None:
    """Run something in a process of its own, and end that at once so many seconds after it is ready."""
    heard, ready = os.pipe()
    process = multiprocessing.get_context("fork").Process(target=act, args=(tmp_path, ready), daemon=True)
    process.start()
    assert os.read(heard, 1) == b"."
    time.sleep(seconds)
    process.kill()
    process.join()
    os.close(heard)
    os.close(ready)


def check(tmp_path: Path, before: list[bytes]) -> None:
    outputs = tmp_path / "outputs"
    history = History(outputs, tmp_path / "cache")
    history.scan()
    assert sorted((outputs / name).read_bytes() for name in files_of(outputs)) == before
    [place] = {name.rpartition("/")[0] for name in files_of(outputs) if "00001-7" in name}
    found = history.find(f"{place}/00001-7.png")
    assert set(found.companions) == {"raw", "film", "txt"}
    assert history.count() + history.count(trashed=True) == 11


def test_what_is_moved_while_the_folder_is_read_is_not_lost_from_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "outputs", "a/1.png")
    put(tmp_path / "outputs", "a/2.png")
    history = history_of(tmp_path)
    history.scan()
    put(tmp_path / "outputs", "a/3.png")
    other = history_of(tmp_path)
    compare = scanning._compare

    def move_first(*given: object) -> object:
        """The folder was listed; now another one moves a picture out of it."""
        monkeypatch.setattr(scanning, "_compare", compare)
        [moved] = other.throw_away(["a/1.png"])
        other.throw_away(["a/3.png"])
        other.put_back([moved.new])
        return compare(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(scanning, "_compare", move_first)
    history.scan()
    assert sorted(names(history)) == ["a/1.png", "a/2.png"]
    history.scan()
    assert sorted(names(history)) == ["a/1.png", "a/2.png"]
    assert names(history, trashed=True) == ["trash/a/3.png"]


def test_undo_at_once_needs_no_scan(tmp_path: Path) -> None:
    put(tmp_path / "outputs", "a/1.png")
    history = history_of(tmp_path)
    history.scan()
    [moved] = history.throw_away(["a/1.png"])
    (path,) = (tmp_path / "cache").rglob("index.sqlite")
    path.unlink()  # whatever a scan in between has made of the index
    history.put_back([moved.new])
    assert (tmp_path / "outputs/a/1.png").exists()
    for name in ("trash/../../secret.png", "../secret.png", "/etc/hostname"):
        (tmp_path / "secret.png").touch()
        with pytest.raises((LookupError, ValueError)):
            history.put_back([name])
        with pytest.raises((LookupError, ValueError)):
            history.throw_away([name])


DAY, TRASH = "2026-11-20", "trash/2026-11-20"


@pytest.mark.parametrize(
    ("was", "moved", "stays"),
    [
        (DAY, ["00001-7.png"], TRASH),  # thrown away, and killed before any companion
        (DAY, ["00001-7.png", "00001-7-film.webp"], TRASH),  # after one of them
        (TRASH, ["00001-7.png", "00001-7.txt"], DAY),  # on the way back
    ],
)
def test_half_a_move_is_finished_where_the_picture_is(
    tmp_path: Path, was: str, moved: list[str], stays: str
) -> None:
    outputs = tmp_path / "outputs"
    with_companions(outputs)
    if was == TRASH:
        (outputs / "trash").mkdir()
        (outputs / DAY).rename(outputs / TRASH)
    to = TRASH if was == DAY else DAY
    (outputs / to).mkdir(parents=True, exist_ok=True)
    for name in moved:
        (outputs / was / name).rename(outputs / to / name)
    history_of(tmp_path).scan()
    assert files_of(outputs) == {f"{stays}/{name}" for name in ("00001-7.png", *BESIDE)}


def test_a_picture_linked_to_the_trash_and_not_gone_yet_stays(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    with_companions(outputs)
    (outputs / TRASH).mkdir(parents=True)
    (outputs / TRASH / "00001-7.png").hardlink_to(outputs / DAY / "00001-7.png")
    history_of(tmp_path).scan()
    assert files_of(outputs) == {f"{DAY}/{name}" for name in ("00001-7.png", *BESIDE)}


def test_a_text_beside_two_pictures_of_one_name_goes_with_neither(tmp_path: Path) -> None:
    put(tmp_path / "outputs", "a/cat.png")
    put(tmp_path / "outputs", "a/cat.jpg.png").rename(tmp_path / "outputs/a/cat.webp")
    (tmp_path / "outputs/a/cat.txt").write_text("whose is it?")
    history = history_of(tmp_path)
    history.scan()
    history.throw_away(["a/cat.png"])
    assert (tmp_path / "outputs/a/cat.txt").exists()
