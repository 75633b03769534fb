"""A line of jobs whose process is killed at a random moment: a step is lost, and nothing is made twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from sd_app.metadata import parse_infotext, read_infotext
from tests.line_process import PICTURES

JOBS = 10
ROOT = Path(__file__).resolve().parent.parent


def begin(outputs: Path, models: Path, jobs: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.line_process", str(outputs), str(models), str(jobs)]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)


def read_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    line = process.stdout.readline().strip()
    assert line, "the process ended"
    return line


def made(outputs: Path) -> Counter[str]:
    """Return how often each picture was made, by its prompt and seed; all must be whole."""
    found: Counter[str] = Counter()
    seeds: dict[str, list[int]] = {}
    for path in outputs.glob("2*/*.png"):
        with Image.open(path) as image:
            image.load()
        known = parse_infotext(read_infotext(path) or "")
        seed = int(known.fields["Seed"])
        found[f"{known.prompt} {seed}"] += 1
        seeds.setdefault(known.prompt, []).append(seed)
    for numbers in seeds.values():  # of one job they follow one another
        assert sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers)))
    return found


def killed_once(outputs: Path, models: Path, moment: random.Random) -> None:
    process = begin(outputs, models, JOBS)
    assert read_line(process) == "ready"
    # Until the first picture the model is loaded; then each takes some hundredths of a second.
    if moment.random() < 0.8:
        while not any(outputs.glob("2*/*.png")):
            time.sleep(0.005)
    time.sleep(moment.random() * 1.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = begin(outputs, models, 0)
    assert read_line(again) == "ready"
    word, _, ended = read_line(again).partition(" ")
    assert word == "done"
    again.wait()
    pictures = made(outputs)
    assert set(pictures.values()) == {1}
    assert len(pictures) == JOBS * PICTURES
    assert all(state == "done" for state, _ in json.loads(ended).values())
    third = begin(outputs, models, 0)  # and now there is nothing left
    assert [read_line(third), read_line(third)] == ["ready", "done {}"]
    third.wait()
    assert list((outputs / ".queue" / "pictures").iterdir()) == []


@pytest.mark.parametrize("seed", range(2))
def test_after_a_kill_all_that_waited_is_made_once(tmp_path: Path, random_models: Path, seed: int) -> None:
    killed_once(tmp_path / "outputs", random_models, random.Random(seed))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_after_thirty_kills_at_random_moments_all_is_made_once(tmp_path: Path, random_models: Path) -> None:
    for seed in range(2, 32):
        killed_once(tmp_path / str(seed), random_models, random.Random(seed))
