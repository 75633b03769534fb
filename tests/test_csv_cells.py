"""No cell of a CSV file is a formula, wherever one is written."""

import csv
import io
from pathlib import Path

import pytest

from sd_app.cli.interrogate import COLUMNS, _rows
from sd_app.inside.report import csv_bytes
from sd_app.user_files import spreadsheet_cell

SOURCES = Path(__file__).resolve().parent.parent / "sd_app"
FORMULAS = ["=1+1", "+1", "-a.png", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("http://x")']


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a cat", "a=b", "", "'=1", -0.25, -3, None, True])
def test_words_and_numbers_stay_as_they_are(value: object) -> None:
    assert spreadsheet_cell(value) == value


def test_the_file_of_the_interrogator_holds_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with _rows(path) as write:
        for text in FORMULAS:
            write({"file": text, "prompt": text, "caption": text, "error": text, "similarity": -0.5})
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert tuple(head) == COLUMNS
    assert [row[0] for row in rows] == [f"'{text}" for text in FORMULAS]
    assert {row[head.index("similarity")] for row in rows} == {"-0.5"}


def test_the_tables_of_look_inside_hold_no_formula() -> None:
    (row,) = csv.reader(io.StringIO(csv_bytes([[*FORMULAS, -0.5, "cat"]]).decode(), newline=""))
    assert row == [*(f"'{text}" for text in FORMULAS), "-0.5", "cat"]


def test_whoever_writes_csv_uses_the_one_rule() -> None:
    writers = [path for path in SOURCES.rglob("*.py") if "csv." in path.read_text("utf-8")]
    writers = [path for path in writers if "import csv" in path.read_text("utf-8")]
    assert len(writers) == 4
    for path in writers:
        if path.name == "styles.py":  # the owner's own words, which are read back as they are
            continue
        assert "spreadsheet_cell(" in path.read_text("utf-8"), path
