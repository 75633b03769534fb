"""The whole recipe at a thousandth of its length: every stage runs, resumes and hands on to the next."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from sd_app.interrogator.captioner import load_captioner
from sd_app.tiny.train import in_halves

ROOT = Path(__file__).parents[1]


def train(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sd_app.tiny.train", "--scale", "0.001"]
    command += ["--work", str(folder / "work"), "--models-dir", str(folder / "models")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 30_000])
def test_two_processes_share_all_of_it_and_nothing_twice(count: int):
    first, second = in_halves(count)
    assert [*first, *second] == list(range(count))
    assert 0 <= len(second) - len(first) <= 1


@pytest.mark.slow
def test_one_command_makes_a_model_that_loads_and_a_second_run_has_nothing_left_to_train(tmp_path: Path):
    first = train(tmp_path)
    assert first.returncode == 0, first.stderr[-2000:]
    models = tmp_path / "models"
    pipeline = StableDiffusionPipeline.from_pretrained(
        models / "tiny-sd", dtype=torch.float32, local_files_only=True
    )
    assert pipeline("a red cat", num_inference_steps=1).images[0].size == (128, 128)
    assert (models / "tiny-clip" / "open_clip_model.safetensors").exists()
    assert "## Measured quality" in (models / "tiny-sd" / "README.md").read_text()
    assert (
        json.loads((models / "tiny-sd" / "evaluation.json").read_text())["generated"]["flat"]["pictures"]
        == 10
    )

    captioner = load_captioner(models / "tiny-blip", "cpu", torch.float32)
    assert isinstance(captioner.caption(Image.new("RGB", (128, 128))), str)
    assert "## Measured quality" in (models / "tiny-blip" / "README.md").read_text()
    captions = json.loads((models / "tiny-blip" / "evaluation.json").read_text())["captions"]
    assert captions["all"]["pictures"] == 10

    trained = (tmp_path / "work" / "unet.pt").read_bytes()
    second = train(tmp_path)
    assert second.returncode == 0, second.stderr[-2000:]
    assert (tmp_path / "work" / "unet.pt").read_bytes() == trained
