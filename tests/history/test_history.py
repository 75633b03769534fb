"""The history mirrors an outputs folder: all of it, nothing else, newest first, whatever happens to it."""

import json
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from sd_app.history import History
from sd_app.metadata import save_image
from sd_app.requests import Txt2ImgRequest
from tests.history.picture_files import history_of, names, put


def test_pictures_come_newest_first_and_pages_follow_each_other(tmp_path: Path) -> None:
    for number in range(25):
        put(tmp_path / "outputs", f"2026-11-20/{number:05}-7.png", made=f"2026-11-20T10:{number:02}")
    history = history_of(tmp_path)
    history.scan()
    seen: list[str] = []
    after = None
    while True:
        page = history.page(after=after, limit=10)
        seen += [kept.name for kept in page.pictures]
        after = page.after
        if after is None:
            break
    assert seen == [f"2026-11-20/{number:05}-7.png" for number in range(24, -1, -1)]
    assert history.count() == 25


def test_pages_lose_nothing_when_all_pictures_have_one_time(tmp_path: Path) -> None:
    for number in range(7):
        put(tmp_path / "outputs", f"a/{number}.png", made="2026-11-20T10:00")
    history = history_of(tmp_path)
    history.scan()
    first = history.page(limit=3)
    second = history.page(limit=3, after=first.after)
    third = history.page(limit=3, after=second.after)
    found = [kept.name for page in (first, second, third) for kept in page.pictures]
    assert sorted(found) == [f"a/{number}.png" for number in range(7)]
    assert third.after is None


def test_what_the_app_saved_is_listed_with_its_request(tmp_path: Path) -> None:
    request = Txt2ImgRequest(
        prompt="an orange cat",
        negative_prompt="rain",
        model="tiny-sd",
        scheduler="DPM++ 2M Karras",
        width=128,
        height=64,
        num_inference_steps=5,
        guidance_scale=4.0,
    )
    path = save_image(
        Image.new("RGB", (128, 64)),
        request,
        outputs_dir=tmp_path / "outputs",
        seed=2**40,
        companions={"raw": Image.new("RGB", (128, 64))},
    )
    history = history_of(tmp_path)
    history.scan()
    [kept] = history.page().pictures
    assert history.path_of(kept.name) == path
    assert (kept.prompt, kept.negative_prompt, kept.model) == ("an orange cat", "rain", "tiny-sd")
    assert (kept.scheduler, kept.seed, kept.kind) == ("DPM++ 2M Karras", str(2**40), "txt2img")
    assert (kept.width, kept.height) == (128, 64)
    assert kept.companions == {"raw": f"{kept.name[:-4]}-raw.png"}


def test_companions_stand_with_their_picture_and_alone_where_it_is_gone(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    picture = put(outputs, "2026-11-20/00001-7.png")
    for ending in (
        "raw.png",
        "roundtrip.png",
        "film.webp",
        "strip.png",
        "sheet.png",
        "embedding.safetensors",
    ):
        put(outputs, f"2026-11-20/00001-7-{ending}")
    (outputs / "2026-11-20/00001-7.txt").write_text("a caption")
    put(outputs, "2026-11-20/00002-8.png")
    history = history_of(tmp_path)
    history.scan()
    first = history.find("2026-11-20/00001-7.png")
    assert set(first.companions) == {"raw", "roundtrip", "film", "strip", "sheet", "embedding", "txt"}
    assert history.count() == 2
    picture.unlink()
    history.scan()
    assert "2026-11-20/00001-7-raw.png" in names(history)


def test_a_companion_that_comes_later_is_seen(tmp_path: Path) -> None:
    put(tmp_path / "outputs", "d/00001-7.png")
    history = history_of(tmp_path)
    history.scan()
    put(tmp_path / "outputs", "d/00001-7-sheet.png")
    history.scan()
    assert history.find("d/00001-7.png").companions == {"sheet": "d/00001-7-sheet.png"}
    assert history.count() == 1


def test_new_changed_and_deleted_files_are_followed(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    old = put(outputs, "a/1.png", "a dog")
    gone = put(outputs, "a/2.png", "a dog")
    put(outputs, "b/3.png", "a dog")
    history = history_of(tmp_path)
    history.scan()
    assert history.count("dog") == 3
    put(outputs, "a/1.png", "an elephant", made="2026-11-20T10:00")
    gone.unlink()
    put(outputs, "c/4.png", "a dog")
    for path in (outputs / "b").iterdir():
        path.unlink()
    (outputs / "b").rmdir()
    history.scan()
    assert old.exists()
    assert sorted(names(history)) == ["a/1.png", "c/4.png"]
    assert names(history, "dog") == ["c/4.png"]
    assert names(history, "elephant") == ["a/1.png"]


def test_a_second_look_reads_no_file_that_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        put(tmp_path / "outputs", f"a/{number}.png")
    (tmp_path / "outputs/a/none.png").write_text("no picture")
    history_of(tmp_path).scan()

    def read(path: Path) -> None:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr("sd_app.history.scanning.read_facts", read)
    history = history_of(tmp_path)
    history.scan()
    assert history.count() == 5


def test_a_quick_look_sees_new_files_without_a_look_at_the_old_ones(tmp_path: Path) -> None:
    put(tmp_path / "outputs", "a/1.png")
    os.utime(tmp_path / "outputs/a", (1e9, 1e9))
    history = history_of(tmp_path)
    history.scan()
    put(tmp_path / "outputs", "a/2.png")
    put(tmp_path / "outputs", "b/3.png")
    history.scan(full=False)
    assert history.count() == 3


def test_what_is_no_picture_is_no_part_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "junk"
    folder.mkdir(parents=True)
    for number in range(300):
        (folder / f"{number}.txt").write_text("text")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (folder / "empty.jpg").touch()
    (folder / "text.webp").write_text("no picture")
    (folder / ".hidden.png").write_text("x")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "nowhere.png").symlink_to("gone")
    (folder / "page.html.png").write_text("<script>alert(1)</script>")
    put(tmp_path / "outputs", "junk/.queue/pictures/1.png")
    put(tmp_path / "outputs", "junk/real.png")
    history = history_of(tmp_path)
    history.scan()
    assert names(history) == ["junk/real.png"]


def test_pictures_of_other_tools_are_listed_with_what_they_say_or_without(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    a1111 = (
        "masterpiece, 1girl\nNegative prompt: lowres\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5,"
        " Size: 512x768, Model hash: 6ce0161689, Model: anything-v3"
    )
    put(outputs, "txt2img-images/2023-01-01/00000-5.png", infotext=a1111)
    graph = {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 8,
                "steps": 20,
                "cfg": 8,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dream.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "fog", "clip": ["4", 1]}},
    }
    put(outputs, "comfy/ComfyUI_00001_.png", infotext=json.dumps(graph))
    Image.new("RGB", (10, 20)).save(outputs / "photo.jpg")
    history = history_of(tmp_path)
    history.scan()
    assert names(history, "model:anything 1girl") == ["txt2img-images/2023-01-01/00000-5.png"]
    assert names(history, "lighthouse model:dream seed:8") == ["comfy/ComfyUI_00001_.png"]
    photo = history.find("photo.jpg")
    assert (photo.prompt, photo.width, photo.height) == ("", 10, 20)
    assert history.count() == 3


def test_names_that_are_no_utf_8_are_shown_found_and_thrown_away(tmp_path: Path) -> None:
    name = os.fsdecode(b"d\xe9j\xe0/caf\xe9.png")
    put(tmp_path / "outputs", name, "a cat")
    history = history_of(tmp_path)
    history.scan()
    [kept] = history.page("cat").pictures
    assert kept.name == name
    assert kept.shown_name == "d�j�/caf�.png"
    kept.shown_name.encode()
    history.mark([name], "like")
    [moved] = history.throw_away([name])
    assert history.find(moved.new).mark == "like"
    assert history.put_back([moved.new])[0].new == name
    history.scan()
    assert names(history, "is:like") == [name]


def test_a_png_with_a_text_of_50_megabytes_is_a_picture_without_parameters(tmp_path: Path) -> None:
    path = put(tmp_path / "outputs", "a/1.png", infotext="x" * 50_000_000)
    assert path.stat().st_size > 50_000_000
    history = history_of(tmp_path)
    history.scan()
    assert history.find("a/1.png").prompt == ""
    assert (tmp_path / "cache").exists()
    size = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert size < 1_000_000


def test_a_copied_folder_keeps_the_order_of_its_days(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    put(outputs, "2026-11-02/00002-7.png", made="2026-11-27T08:00")
    put(outputs, "2026-11-02/00010-7.png", made="2026-11-27T07:00")
    put(outputs, "2026-11-01/00003-7.png", made="2026-11-27T09:00")
    put(outputs, "2026-11-03/00001-7.png", made="2026-11-04T00:10")  # past midnight: its own time is right
    history = history_of(tmp_path)
    history.scan()
    assert names(history) == [
        "2026-11-03/00001-7.png",
        "2026-11-02/00010-7.png",
        "2026-11-02/00002-7.png",
        "2026-11-01/00003-7.png",
    ]
    assert history.count("date:2026-11-02") == 2


def test_a_marked_picture_that_is_given_another_name_keeps_its_mark(tmp_path: Path) -> None:
    path = put(tmp_path / "outputs", "a/1.png", made="2026-11-20T10:00")
    put(tmp_path / "outputs", "a/2.png", made="2026-11-20T11:00")
    history = history_of(tmp_path)
    history.scan()
    history.mark(["a/1.png"], "favourite")
    (tmp_path / "outputs/best").mkdir()
    path.rename(tmp_path / "outputs/best/cat.png")
    history.scan()
    assert names(history, "is:favourite") == ["best/cat.png"]


# -- the index can be lost at any time


def index_of(tmp_path: Path) -> Path:
    [path] = (tmp_path / "cache").rglob("index.sqlite")
    return path


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "noise", "cut", "middle", "other version", "no table"]
)
def test_a_lost_or_damaged_index_is_made_anew_from_the_files(tmp_path: Path, damage: str) -> None:
    for number in range(120):
        put(tmp_path / "outputs", f"a/{number}.png", f"a cat number {number} " + "in a meadow " * 20)
    history = history_of(tmp_path)
    history.scan()
    history.mark(["a/7.png"], "like")
    path = index_of(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage in ("other version", "no table"):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(
                "PRAGMA user_version = 99" if damage == "other version" else "DROP TABLE words"
            )
    else:
        middle = data[: len(data) // 3] + os.urandom(len(data) // 3) + data[len(data) * 2 // 3 :]
        broken = {"empty": b"", "noise": os.urandom(5000), "cut": data[: len(data) // 2], "middle": middle}
        path.write_bytes(broken[damage])
    again = history_of(tmp_path)
    for _ in range(3):
        again.page("cat")  # the app lives, whatever it finds
        again.scan()
    assert again.count() == 120
    assert "a/7.png" in names(again, '"cat number 7"')
    assert names(again, "is:like") == ["a/7.png"]
    with closing(sqlite3.connect(index_of(tmp_path))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_history_is_usable_while_it_is_read_for_the_first_time(tmp_path: Path) -> None:
    for number in range(350):
        put(tmp_path / "outputs", f"a/{number}.png")
    history = history_of(tmp_path)
    assert names(history) == []
    history.refresh(full=True)
    counts = []
    while history.state().running:
        counts.append(history.count("cat"))
    history.close()
    assert history.count() == 350
    assert counts == sorted(counts)
    assert history.state().done == history.state().total == 350


def test_two_apps_read_and_change_one_folder(tmp_path: Path) -> None:
    for number in range(200):
        put(tmp_path / "outputs", f"a/{number}.png")
    first, second = history_of(tmp_path), history_of(tmp_path)
    threads = [threading.Thread(target=one.scan) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.count() == second.count() == 200
    first.throw_away(["a/3.png"])
    second.mark(["a/4.png"], "like")
    assert second.count() == 199
    assert names(first, "is:like") == ["a/4.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_takes_nothing_more_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    put(tmp_path / "outputs", "a/1.png")
    (tmp_path / "cache").symlink_to("/dev/full")
    history = history_of(tmp_path)
    with pytest.raises(OSError, match="the index of the history cannot be used"):
        history.scan()
    history.refresh()
    history.close()
    assert "the index of the history cannot be used" in history.state().problem
    assert history_of(tmp_path).outputs_dir.joinpath("a/1.png").exists()


# -- visitors


def test_a_visitor_sees_only_their_own_and_may_touch_nothing_else(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    mine, theirs = put(outputs, "a/1.png"), put(outputs, "a/2.png")
    history = history_of(tmp_path)
    history.note_owner([mine], "anna")
    history.note_owner([theirs], "bert")
    history.scan()
    again = History(outputs, tmp_path / "cache")  # after a restart
    assert names(again, owner="anna") == ["a/1.png"]
    assert names(again, owner="nobody") == []
    assert again.count("cat", owner="anna") == 1
    for act in (
        lambda: again.find("a/2.png", owner="anna"),
        lambda: again.thumbnail("a/2.png", owner="anna"),
        lambda: again.mark(["a/2.png"], "like", owner="anna"),
        lambda: again.throw_away(["a/2.png"], owner="anna"),
    ):
        with pytest.raises(LookupError, match="not there any more"):
            act()
    [gone] = again.throw_away(["a/1.png"], owner="anna")
    assert names(again, owner="anna", trashed=True) == [gone.new]
    assert names(again, owner="bert", trashed=True) == []
    with pytest.raises(LookupError):
        again.put_back([gone.new], owner="bert")
    again.put_back([gone.new], owner="anna")
    assert names(again, owner="anna") == ["a/1.png"]
    assert "anna" not in (outputs / ".owners.jsonl").read_text()


# -- thumbnails


def test_thumbnails_are_made_once_and_anew_for_a_changed_file(tmp_path: Path) -> None:
    path = put(tmp_path / "outputs", "a/1.png", size=(900, 600))
    history = history_of(tmp_path)
    history.scan()
    first = history.thumbnail("a/1.png")
    path.write_bytes(path.read_bytes())  # still there: the kept one is not needed for the answer below
    assert first[:3] == b"\xff\xd8\xff"
    kept = [file for file in (tmp_path / "cache").rglob("thumbnails/*/*") if file.is_file()]
    assert [file.read_bytes() for file in kept] == [first]
    put(tmp_path / "outputs", "a/1.png", size=(64, 64), made="2026-11-20T10:00")
    history.scan()
    assert history.thumbnail("a/1.png")[:4] == b"\x89PNG"
