"""The embedded models' cards: measured anew or trained anew, they keep what is known of the weights."""

import json
import shutil
from pathlib import Path

import pytest

from sd_app.tiny import evaluate
from sd_app.tiny.card import write_caption_card, write_card

MODELS = Path(__file__).parents[1] / "models"
WRITERS = {"tiny-sd": write_card, "tiny-blip": write_caption_card}
STAGES = {"tiny-sd": ("clip", "vae", "unet", "judge"), "tiny-blip": ("blip",)}


@pytest.mark.parametrize("name", WRITERS)
def test_a_card_written_again_from_its_own_figures_is_the_same_to_the_byte(name: str, tmp_path: Path):
    for file in ("README.md", "evaluation.json"):
        shutil.copy(MODELS / name / file, tmp_path)
    WRITERS[name](tmp_path, json.loads((tmp_path / "evaluation.json").read_text()), tmp_path / "no logs")
    for file in ("README.md", "evaluation.json"):
        assert (tmp_path / file).read_bytes() == (MODELS / name / file).read_bytes()


@pytest.mark.parametrize("name", WRITERS)
def test_a_card_has_the_last_figures_of_a_stage_that_was_trained_anew(name: str, tmp_path: Path):
    shutil.copy(MODELS / name / "README.md", tmp_path)
    first, *others = STAGES[name]
    log = [{"step": 10, "loss": 2.0}, {"step": 1200, "loss": 0.123456789}]
    (tmp_path / f"{first}.jsonl").write_text("\n".join(json.dumps(line) for line in log))
    WRITERS[name](tmp_path, json.loads((MODELS / name / "evaluation.json").read_text()), tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert f"| {first} | 1,200 | loss 0.123457 |" in card
    for stage in others:
        assert card.count(f"| {stage} |") == 1


def test_the_command_alone_leaves_the_training_figures_in_the_card(tmp_path: Path, monkeypatch):
    """As the papers name it: nothing was trained here, so there are no logs."""
    shutil.copytree(MODELS / "tiny-blip", tmp_path / "models/tiny-blip")
    monkeypatch.setattr(evaluate, "TEST_PICTURES", 4)
    given = ["evaluate", "--captioner", "--work", str(tmp_path / "work")]
    monkeypatch.setattr("sys.argv", [*given, "--models-dir", str(tmp_path / "models")])
    evaluate.main()
    card = (tmp_path / "models/tiny-blip/README.md").read_text()
    rows = [line for line in (MODELS / "tiny-blip/README.md").read_text().splitlines() if "| blip |" in line]
    assert rows
    assert rows[0] in card
    assert "| all | 4 |" in card
