"""The script for a card, as far as a CPU allows: its trials run, and what fails is told."""

import json
import subprocess
import sys
import time

import pytest
import torch

from tests.card import ROOT, alone, list_trials
from tests.on_card import exactness, speed
from tests.on_card.models import make_models
from tests.on_card.report import markdown, summary
from tests.on_card.trial import Bench, Skipped


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("card")
    make_models(folder / "models", device=torch.device("cpu"), full=False)
    return Bench(folder=folder, device=torch.device("cpu"), is_small=True)


@pytest.mark.parametrize(
    "trial",
    [
        exactness.all_kinds,
        exactness.lora_on_and_off,
        speed.observers,
        *(pytest.param(trial, marks=pytest.mark.slow) for trial in (speed.sd1, speed.xl, speed.cache_hits)),
    ],
)
def test_a_trial_that_needs_no_card_passes_on_a_cpu(bench, trial):
    found = trial(bench)
    assert found.passed
    assert found.figures


def test_every_other_trial_says_what_it_needs(bench):
    needing = [trial for trial in list_trials() if trial.run.__module__.endswith("memory")]
    for trial in needing:
        with pytest.raises(Skipped, match="needs"):
            trial.run(bench)
    assert len(needing) == 5


def test_a_difference_fails_a_trial(bench, monkeypatch):
    monkeypatch.setattr(exactness, "difference", lambda *_: 1)
    assert not exactness.lora_on_and_off(bench).passed


def break_down() -> dict[str, object]:
    raise RuntimeError("the card is on fire")


def sleep() -> dict[str, object]:
    time.sleep(30)
    return {}


def answer(number: int) -> dict[str, object]:
    print("not for the table")
    return {"number": number}


def test_what_breaks_or_hangs_is_an_error_in_words_and_the_next_goes_on(tmp_path):
    assert "the card is on fire" in alone(tmp_path, 250, break_down)["error"]
    assert alone(tmp_path, 1, sleep) == {"error": "longer than 1 s"}
    assert alone(tmp_path, 250, answer, 7) == {"number": 7}


def test_the_papers_say_what_was_measured():
    measured = sorted((ROOT / ".github" / "cards").glob("*.json"))
    cards = [json.loads(path.read_text()) for path in measured]
    table = markdown(cards)
    assert "H100" in table
    assert "not measured" not in table
    assert table in (ROOT / ".github" / "docs" / "speed.md").read_text()
    assert summary(cards) in (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_script_runs_trials_in_processes_of_their_own_and_tells_how_they_went(tmp_path):
    command = [sys.executable, str(ROOT / "tests" / "card.py"), "--device", "cpu", "--minutes", "4"]
    done = subprocess.run(
        [*command, "--only", "lora", "graphs", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "card.json").read_text())
    assert told["machine"]["device"] == "cpu"
    assert told["trials"]["graphs"]["skipped"] == "needs CUDA"
    assert told["trials"]["lora"]["figures"]["largest difference"] == 0
    assert "passed   lora" in done.stdout
