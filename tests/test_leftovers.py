"""What killed runs leave behind is swept at the next start, and never somebody else's."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from sd_app.metadata.leftovers import sweep_leftovers
from sd_app.ui.temp_folder import sweep, sweep_temp_folders, temp_folder

ROOT = Path(__file__).resolve().parent.parent
LONG_AGO = time.time() - 7200
YEARS_AGO = time.time() - 10**8


def write(path: Path, when: float = LONG_AGO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"123")
    os.utime(path, (when, when))
    return path


def left(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_half_written_files_and_companions_of_no_picture_go(tmp_path: Path) -> None:
    day = tmp_path / "outputs" / "2026-01-02"
    gone = [
        ".00001.partial",
        ".00001-raw.partial",
        "00001-7-raw.png",
        "00001-7-roundtrip.png",
        ".00003-7-film.webm.4711.partial",
    ]
    stays = [
        "00002-7.png",
        ".00002-raw.png",
        "00002-7-raw.png",
        "00005-9-raw.png",  # its picture was moved by its owner: no reservation says that it never came
        "00006-9-sheet.png",
        "notes.partial",
        ".hidden",
    ]
    for name in (*gone, *stays):
        write(day / name)
    elsewhere = write(tmp_path / "outputs" / "mine" / ".00001.partial")
    cached = write(tmp_path / "cache" / "headers.json.123-456.partial")
    kept = write(tmp_path / "cache" / "headers.json")
    table = write(tmp_path / "cache" / "abc" / "def.123-456.partial")
    swept = sweep_leftovers(tmp_path / "outputs", tmp_path / "cache")
    assert swept.files == len(gone) + 2
    assert swept.size_bytes == 3 * swept.files
    assert left(day) == set(stays)
    assert elsewhere.exists()
    assert kept.exists()
    assert not cached.exists()
    assert not table.exists()
    assert sweep_leftovers(tmp_path / "outputs", tmp_path / "cache").files == 0


def test_what_is_being_written_stays_and_so_does_a_companion_whose_picture_is_there(tmp_path: Path) -> None:
    day = tmp_path / "2026-01-02"
    write(day / ".00001.partial", time.time())
    write(day / "00001-7-raw.png", time.time() - 10)
    write(day / ".00002.partial", time.time() + 10**6)  # a clock that was set back
    write(day / ".00003.partial")
    write(day / "00003-7.png")
    write(day / "00003-7-raw.png")
    before = left(day)
    sweep_leftovers(tmp_path, tmp_path / "none")
    assert left(day) == before - {"2026-01-02/.00003.partial", ".00003.partial"}


def test_no_folder_no_link_and_no_pipe_is_touched(tmp_path: Path) -> None:
    day = tmp_path / "2026-01-02"
    target = write(tmp_path / "mine.png")
    day.mkdir()
    (day / ".00001.partial").symlink_to(target)
    (day / ".00002.partial").mkdir()
    os.mkfifo(day / ".00003.partial")
    for name in (".00001.partial", ".00002.partial", ".00003.partial"):
        os.utime(day / name, (LONG_AGO, LONG_AGO), follow_symlinks=False)
    assert sweep_leftovers(tmp_path, tmp_path / "none").files == 0
    assert target.exists()
    assert len(list(day.iterdir())) == 3


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    return tmp_path


RUN = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from sd_app.ui.temp_folder import temp_folder
with temp_folder() as folder:
    (folder / "picture.png").write_bytes(b"123")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_the_folder_of_a_killed_run_goes_and_that_of_a_living_one_stays(temp: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(temp)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        folder = Path(run.stdout.readline().strip())
        assert folder.parent == temp
        os.utime(folder, (YEARS_AGO, YEARS_AGO))
        assert sweep_temp_folders().files == 0
        assert (folder / "picture.png").exists()
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert folder.exists()
    said = sweep(temp / "outputs", temp / "cache")
    assert said == "Removed 2 files (3 B) that runs had left behind when they were killed."
    assert not folder.exists()
    assert sweep(temp / "outputs", temp / "cache") == ""


def test_a_folder_of_another_program_stays(temp: Path) -> None:
    for name in ("sd_app-fresh", "other-1"):
        write(temp / name / "a.png")
    (temp / "sd_app-link").symlink_to(temp / "other-1")
    write(temp / "sd_app-file")
    before = left(temp)
    assert sweep_temp_folders().files == 0
    assert left(temp) == before
    os.utime(temp / "sd_app-fresh", (YEARS_AGO, YEARS_AGO))  # of a version that held no lock
    assert sweep_temp_folders().files == 1
    assert not (temp / "sd_app-fresh").exists()


def test_a_run_that_ends_leaves_nothing(temp: Path) -> None:
    with temp_folder() as folder:
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
        assert folder.is_dir()
    assert list(temp.iterdir()) == []
