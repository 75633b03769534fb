"""Saving that never loses or mixes files, and listing what was saved."""

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from sd_app.metadata import (
    files,
    from_infotext,
    list_outputs,
    read_infotext,
    save_image,
    to_infotext,
    write_png,
)
from tests.infotexts import PICTURE, PLAIN


@pytest.mark.parametrize(("prompt", "chunk"), [("a café", b"tEXt"), ("猫", b"iTXt")])
def test_the_text_chunk_is_latin_1_where_it_can_be(tmp_path: Path, prompt: str, chunk: bytes) -> None:
    path = save_image(PICTURE, replace(PLAIN, prompt=prompt), outputs_dir=tmp_path, seed=7)
    assert chunk + b"parameters\0" in path.read_bytes()


def test_a_saved_picture_holds_its_pixels_and_its_own_request(tmp_path: Path) -> None:
    path = save_image(PICTURE, replace(PLAIN, num_images=4), outputs_dir=tmp_path, seed=9)
    assert path == tmp_path / date.today().isoformat() / "00000-9.png"
    with Image.open(path) as image:
        assert image.tobytes() == PICTURE.tobytes()
    text = read_infotext(path)
    assert text is not None
    assert from_infotext(text) == replace(PLAIN, seed=9, num_images=1)


def test_numbers_go_on_after_the_highest_and_never_overwrite(tmp_path: Path) -> None:
    folder = tmp_path / date.today().isoformat()
    folder.mkdir()
    (folder / "00041-1.png").write_bytes(b"mine")
    (folder / "notes.txt").write_bytes(b"mine too")
    first = save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1)
    second = save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1)
    assert [first.name, second.name] == ["00042-1.png", "00043-1.png"]
    assert (folder / "00041-1.png").read_bytes() == b"mine"


def test_past_99999_the_numbers_grow_and_newest_stays_first(tmp_path: Path) -> None:
    folder = tmp_path / date.today().isoformat()
    folder.mkdir()
    (folder / "99999-1.png").touch()
    path = save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1)
    assert path.name == "100000-1.png"
    assert list_outputs(tmp_path, 1) == [path]


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.name.partition("-")[0]) for path in folder.iterdir())


def test_threads_get_one_number_each(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        jobs = [
            pool.submit(save_image, PICTURE, PLAIN, outputs_dir=tmp_path, seed=seed) for seed in range(120)
        ]
        paths = [job.result() for job in jobs]
    assert len(set(paths)) == 120
    assert numbers(tmp_path / date.today().isoformat()) == list(range(120))
    for seed, path in enumerate(paths):
        text = read_infotext(path)
        assert text is not None
        assert from_infotext(text).seed == seed


SAVER = """
import sys
from pathlib import Path
from PIL import Image
from sd_app.metadata import from_infotext, save_image
request = from_infotext(sys.argv[2])
for seed in range(40):
    save_image(Image.new("RGB", (8, 8)), request, outputs_dir=Path(sys.argv[1]), seed=int(sys.argv[3]) + seed)
"""


def test_processes_get_one_number_each(tmp_path: Path) -> None:
    savers = [
        subprocess.Popen([sys.executable, "-c", SAVER, str(tmp_path), to_infotext(PLAIN), str(1000 * index)])
        for index in range(4)
    ]
    assert [saver.wait(60) for saver in savers] == [0, 0, 0, 0]
    assert numbers(tmp_path / date.today().isoformat()) == list(range(160))


def test_a_number_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / date.today().isoformat()
    folder.mkdir()
    (folder / ".00000.partial").touch()
    assert save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1).name == "00001-1.png"
    assert (folder / ".00000.partial").exists()


def test_a_number_reserved_after_we_looked_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = iter([0, 1])
    monkeypatch.setattr(files, "next_number", lambda folder: next(stale))
    folder = tmp_path / date.today().isoformat()
    folder.mkdir()
    (folder / ".00000.partial").write_bytes(b"being written")
    assert save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1).name == "00001-1.png"
    assert (folder / ".00000.partial").read_bytes() == b"being written"


def test_a_number_finished_after_we_looked_is_not_given_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = iter([0, 0, 1])
    save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1)
    monkeypatch.setattr(files, "next_number", lambda folder: next(stale))
    assert save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=2).name == "00001-2.png"


def test_a_full_disk_leaves_no_half_file_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(OSError, match=r"cannot save in .*: No space left on device \(free some") as caught:
        save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1)
    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / date.today().isoformat()).iterdir()) == []
    monkeypatch.undo()
    assert save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=1).name == "00000-1.png"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file is in the way")
    with pytest.raises(OSError, match=r"cannot save in .*outputs"):
        save_image(PICTURE, PLAIN, outputs_dir=tmp_path / "outputs", seed=1)


def test_a_file_system_without_links_still_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: object, target: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    paths = [save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=seed) for seed in range(3)]
    assert numbers(paths[0].parent) == [0, 1, 2]


def test_a_file_of_the_users_choice_is_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"older")
    write_png(PICTURE, "first", path)
    assert read_infotext(path) == "first"

    def fail(self: Path, target: Path) -> Path:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="Read-only"):
        write_png(PICTURE, "second", path)
    assert read_infotext(path) == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_listing_is_newest_first_and_knows_only_our_files(tmp_path: Path) -> None:
    for name in (
        "2025-12-31/00003-1.png",
        "2026-01-01/00000-5.png",
        "2026-01-01/00010-2.png",
        "2026-01-01/00009-3.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("2026-01-01/.00011.partial", "2026-01-01/notes.png", "grids"):
        (tmp_path / name).touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in list_outputs(tmp_path, 10)]
    assert listed == [
        "2026-01-01/00010-2.png",
        "2026-01-01/00009-3.png",
        "2026-01-01/00000-5.png",
        "2025-12-31/00003-1.png",
    ]
    assert list_outputs(tmp_path, 2) == [tmp_path / name for name in listed[:2]]
    assert list_outputs(tmp_path, 0) == []
    assert list_outputs(tmp_path / "nothing", 5) == []


def test_companions_are_saved_under_the_pictures_number(tmp_path: Path) -> None:
    other = Image.new("RGB", (8, 8), "blue")
    paths = [
        save_image(
            PICTURE, PLAIN, outputs_dir=tmp_path, seed=7, companions={"raw": other, "roundtrip": PICTURE}
        )
        for _ in range(2)
    ]
    names = sorted(path.name for path in paths[0].parent.iterdir())
    assert names == [f"0000{n}-7{end}.png" for n in (0, 1) for end in ("-raw", "-roundtrip", "")]
    assert list_outputs(tmp_path, 10) == paths[::-1]
    with Image.open(paths[0].with_stem("00000-7-raw")) as raw:
        assert raw.tobytes() == other.tobytes()
    assert read_infotext(paths[0].with_stem("00000-7-raw")) == read_infotext(paths[0])


def test_a_number_whose_picture_is_missing_is_not_given_again(tmp_path: Path) -> None:
    first = save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=7, companions={"raw": PICTURE})
    first.unlink()
    assert save_image(PICTURE, PLAIN, outputs_dir=tmp_path, seed=7).name == "00001-7.png"
