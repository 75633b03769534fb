"""The history on the command line, and what is exported."""

import csv
import io
import os
import zipfile
from pathlib import Path

import pytest

from sd_app.cli import main
from sd_app.history.differences import Difference, differences
from sd_app.history.export import export_zip
from tests.history.picture_files import history_of, put


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SD_APP_OUTPUTS_DIR", str(tmp_path / "outputs"))
    put(tmp_path / "outputs", "2026-11-20/00001-7.png", "an orange cat", made="2026-11-20T10:00")
    put(tmp_path / "outputs", "2026-11-20/00001-7-raw.png")
    put(tmp_path / "outputs", "2026-11-21/00001-8.png", "a dog", made="2026-11-21T10:00")
    return tmp_path / "outputs"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["history", *arguments]) == code
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_pictures_are_listed_found_marked_thrown_away_and_restored(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "list") == (
        "2026-11-21/00001-8.png  2026-11-21 10:00  64x64  a dog\n"
        "2026-11-20/00001-7.png  2026-11-20 10:00  64x64  an orange cat\n"
    )
    assert said(capsys, "list", "--limit", "1").endswith("1 more (--limit 2 lists all)\n")
    assert said(capsys, "search", "orange", "seed:7").startswith("2026-11-20/00001-7.png")
    assert said(capsys, "search", "zebra") == "There are none.\n"
    assert said(capsys, "mark", "favourite", "2026-11-20/00001-7.png") == ""
    assert "[favourite]" in said(capsys, "search", "is:favourite")
    assert said(capsys, "trash", str(outputs / "2026-11-20/00001-7.png")) == "trash/2026-11-20/00001-7.png\n"
    assert (outputs / "trash/2026-11-20/00001-7-raw.png").exists()
    assert said(capsys, "list", "--trashed").startswith("trash/2026-11-20/00001-7.png")
    assert said(capsys, "restore", "trash/2026-11-20/00001-7.png") == "2026-11-20/00001-7.png\n"
    assert "[favourite]" in said(capsys, "list", "cat")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("search", "seed:x"), "seed must be a whole number, got x"),
        (("list", "--limit", "0"), "limit must be at least 1, got 0"),
        (("trash", "gone.png"), "this picture is not there any more"),
        (("trash", "../elsewhere.png"), "is not in the outputs folder"),
        (("list", "--outputs-dir", "nowhere"), "there is no folder nowhere (name it with --outputs-dir)"),
        (("export", "cat", "-o", "nowhere/a.zip"), "a.zip cannot be written: No such file or directory"),
    ],
)
@pytest.mark.usefixtures("outputs")
def test_what_cannot_be_done_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], problem: str
) -> None:
    text = said(capsys, *arguments, code=2)
    assert problem in text
    assert text.count("\n") == 1


@pytest.mark.usefixtures("outputs")
def test_an_export_holds_pictures_companions_and_a_table(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    target = tmp_path / "cats.zip"
    assert said(capsys, "export", "-o", str(target)) == f"{target} (2 pictures)\n"
    with zipfile.ZipFile(target) as file:
        assert file.testzip() is None
        assert set(file.namelist()) == {
            *("2026-11-20/00001-7.png", "2026-11-20/00001-7-raw.png", "2026-11-21/00001-8.png"),
            "pictures.csv",
        }
        rows = list(csv.DictReader(io.StringIO(file.read("pictures.csv").decode("utf-8-sig"))))
    assert [row["prompt"] for row in rows] == ["a dog", "an orange cat"]
    assert rows[1]["seed"] == "7"
    assert rows[1]["parameters"].startswith("an orange cat\nSteps: 5")


def test_a_table_holds_no_formula_and_a_name_that_is_no_utf_8_is_written(tmp_path: Path) -> None:
    put(tmp_path / "outputs", os.fsdecode(b"caf\xe9.png"), "=HYPERLINK(1)")
    history = history_of(tmp_path)
    history.scan()
    target = tmp_path / "all.zip"
    assert export_zip(history.outputs_dir, history.page().pictures, target) == 1
    with zipfile.ZipFile(target) as file:
        assert "caf�.png" in file.namelist()
        [row] = csv.DictReader(io.StringIO(file.read("pictures.csv").decode("utf-8-sig")))
    assert row["prompt"] == "'=HYPERLINK(1)"


def test_an_export_that_fails_leaves_no_file_and_an_old_one_as_it_was(tmp_path: Path) -> None:
    path = put(tmp_path / "outputs", "1.png")
    history = history_of(tmp_path)
    history.scan()
    pictures = history.page().pictures
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(OSError, match=r"folder\.zip cannot be written"):
        export_zip(history.outputs_dir, pictures, tmp_path / "folder.zip")
    with pytest.raises(ValueError, match="pictures must be from 1 to 1,000 for one file, got 0"):
        export_zip(history.outputs_dir, [], tmp_path / "none.zip")
    path.unlink()
    assert export_zip(history.outputs_dir, pictures, tmp_path / "gone.zip") == 0
    assert {file.name for file in tmp_path.iterdir()} == {"outputs", "cache", "folder.zip", "gone.zip"}


def test_what_differs_is_listed_and_nothing_else() -> None:
    first = "a cat\nNegative prompt: rain\nSteps: 5, Sampler: Euler, CFG scale: 4, Seed: 1, Size: 64x64"
    second = "a cat\nSteps: 5, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, Clip skip: 2"
    assert differences(first, first) == ()
    assert differences(first, second) == (
        Difference(key="Negative prompt", first="rain", second=""),
        Difference(key="CFG scale", first="4", second="7"),
        Difference(key="Clip skip", first="", second="2"),
    )
    assert differences("", second)[0] == Difference(key="Prompt", first="", second="a cat")
    assert differences("", "") == ()
