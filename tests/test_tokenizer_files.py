"""A folder's tokenizer is known by its bytes: read once, wherever it lies, and anew when it changes."""

import json
import shutil
from pathlib import Path

import pytest

from sd_app.checkpoints.tokenizer_files import fits_table, tokenizer_files
from sd_app.settings import EMBEDDED_DIR

SIZE = 49_408  # tokens of CLIP's own


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EMBEDDED_DIR / "tiny-sd/tokenizer", tmp_path / "model/tokenizer"))


def test_the_same_bytes_elsewhere_are_the_same_tokenizer(folder: Path) -> None:
    files = tokenizer_files(folder)
    assert files == tokenizer_files(EMBEDDED_DIR / "tiny-sd/tokenizer")
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"cat", b"cow") + b" ")
        assert tokenizer_files(folder) != files, path.name
        path.write_bytes(whole)
        assert tokenizer_files(folder) == files
    (folder / "tokenizer.4.0.json").write_text("{}")
    assert tokenizer_files(folder) != files


def test_it_fits_a_table_that_has_a_row_for_each_token(folder: Path) -> None:
    assert fits_table(tokenizer_files(folder), SIZE)
    assert not fits_table(tokenizer_files(folder), SIZE - 1)
    (folder / "added_tokens.json").write_text('{"<new>": 49408}')
    assert not fits_table(tokenizer_files(folder), SIZE)
    assert fits_table(tokenizer_files(folder), SIZE + 1)


@pytest.mark.parametrize("number", [-1, 1.5, "7", None, True])
def test_a_number_that_is_none_fits_no_table(folder: Path, number: object) -> None:
    (folder / "added_tokens.json").write_text(json.dumps({"<new>": number}))
    assert not fits_table(tokenizer_files(folder), 10**6)


def test_what_is_missing_or_empty_fits_no_table(folder: Path) -> None:
    (folder / "merges.txt").write_bytes(b"")
    assert fits_table(tokenizer_files(folder), SIZE)  # both stand in tokenizer.json
    (folder / "tokenizer.json").unlink()
    assert not fits_table(tokenizer_files(folder), SIZE)
    assert not fits_table(tokenizer_files(folder / "nowhere"), SIZE)


def test_models_with_the_same_tokenizer_share_it_and_a_changed_one_is_read_anew(
    folder: Path, tmp_path: Path
) -> None:
    from sd_app.weights.loaders import load_tokenizers

    first = load_tokenizers(folder.parent, "sd1")["tokenizer"]
    shutil.copytree(folder, tmp_path / "twin/tokenizer")
    assert load_tokenizers(tmp_path / "twin", "sd1")["tokenizer"] is first
    path = folder / "vocab.json"
    vocabulary = json.loads(path.read_text())
    vocabulary["cat</w>"], vocabulary["dog</w>"] = vocabulary["dog</w>"], vocabulary["cat</w>"]
    path.write_text(json.dumps(vocabulary))
    (folder / "tokenizer.json").unlink()
    other = load_tokenizers(folder.parent, "sd1")["tokenizer"]
    assert other("cat").input_ids == first("dog").input_ids != first("cat").input_ids
