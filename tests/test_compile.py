"""torch.compile on a CPU, in fresh processes: what is compiled once, kept, given back, or refused."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from sd_app.speed.compiling import COMPILING, NOT_COMPILED, artifact_name, device_name

ROOT = Path(__file__).resolve().parent.parent

JOBS = """
import gc, json, sys, weakref
from pathlib import Path
import numpy as np
from torch._dynamo.utils import counters
from sd_app import Settings, Studio, Txt2ImgRequest

models, folder = map(Path, sys.argv[1:])
known = dict(models_dir=models, model="model-a", outputs_dir=folder, cache_dir=folder / "cache", device="cpu")
request = Txt2ImgRequest(prompt="a", seed=1, num_inference_steps=4)
said = []

def draw(studio):
    step = lambda step: said.append(step.text)
    return np.asarray(studio.txt2img(request, step, save=False).images[0], np.int16)

eager = Studio(Settings(**known))
expected = draw(eager)
studio = Studio(Settings(**known, compile=True))
difference = int(abs(draw(studio) - expected).max())
first = list(dict.fromkeys(said))
said.clear()
same = bool((draw(studio) == draw(studio)).all())
with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
    pipe.unet.conv_in.weight.data.mul_(1.2)
    bypassed = pipe.fast_unet.compiler.error
merged = int(abs(draw(studio) - expected).max())
unet = weakref.ref(pipe.unet)
del pipe
studio.unload()
gc.collect()
print(json.dumps({
    "difference": difference, "first": first, "later": said, "same": same, "merged": merged,
    "compiled": counters["stats"]["unique_graphs"], "error": bypassed, "gone": unet() is None,
    "hits": counters["inductor"]["fxgraph_cache_hit"],
}))
"""


def run_jobs(models: Path, folder: Path, **environ: str) -> dict[str, Any]:
    command = [sys.executable, "-c", JOBS, str(models), str(folder)]
    known = {**os.environ, "OMP_NUM_THREADS": "1", **environ}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=known, timeout=550)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_the_file_of_compiled_code_names_what_it_fits() -> None:
    name = artifact_name("NVIDIA H200, 1/2", "sd1")
    assert name == f"{torch.__version__}-NVIDIA-H200-1-2-sd1.bin"
    assert device_name(torch.device("cpu")).startswith("cpu-")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_a_compiled_unet_draws_the_picture_up_to_rounding_and_is_kept_for_the_next_start(
    random_models: Path, tmp_path: Path
) -> None:
    cold = run_jobs(random_models, tmp_path, TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "here"))
    assert cold["difference"] <= 2
    assert COMPILING in cold["first"]
    assert COMPILING not in cold["later"]
    assert cold["same"]
    assert cold["merged"] > 2  # weights changed in place count,
    assert (cold["compiled"], cold["hits"], cold["error"]) == (1, 0, None)  # and nothing is compiled again
    assert cold["gone"]
    assert [path.suffix for path in (tmp_path / "cache" / "compiled").iterdir()] == [".bin"]
    # Another folder of torch's own: what it finds comes from the file.
    warm = run_jobs(random_models, tmp_path, TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "there"))
    assert warm["hits"] == 1
    assert warm["difference"] <= 2


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_without_a_compiler_the_app_says_so_and_draws(random_models: Path, tmp_path: Path) -> None:
    missing = {"CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "here")}
    result = run_jobs(random_models, tmp_path, **missing)
    assert "No working C++ compiler" in result["error"]
    assert any(text.startswith(NOT_COMPILED) for text in result["first"])
    assert not any(text.startswith(NOT_COMPILED) for text in result["later"])
    assert result["difference"] == 0
