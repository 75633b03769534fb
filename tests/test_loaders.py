import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.catalog import find_model
from sd_app.checkpoints.folders import PARTS
from sd_app.generation import run
from sd_app.hub.plan import choose_weights
from sd_app.weights.loaders import download_snapshot, load_folder
from tests.hub.server import CLOSED

HUB_ID = "owner/some-model"


@pytest.fixture
def hub_folder(random_models, tmp_path, monkeypatch) -> Path:
    """Lay model-a out as the hub's client does: snapshots of links into blobs. Return the snapshot."""
    repo = tmp_path / "hub" / "models--owner--some-model"
    snapshot = repo / "snapshots" / "0123abc"
    for file in (random_models / "model-a").rglob("*"):
        if file.is_file() and file.name != "studio.json":
            target = snapshot / file.relative_to(random_models / "model-a")
            target.parent.mkdir(parents=True, exist_ok=True)
            blob = repo / "blobs" / str(abs(hash(str(target))))
            blob.parent.mkdir(exist_ok=True)
            shutil.copy(file, blob)
            target.symlink_to(os.path.relpath(blob, target.parent))
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text("0123abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def test_a_hub_model_in_the_cache_is_used_without_the_network(hub_folder, tmp_path, random_studio):
    studio = Studio(Settings(models_dir=tmp_path / "none", model=HUB_ID, outputs_dir=tmp_path / "out"))
    info = studio.models()[0]
    assert (info.name, info.kind, info.native_size) == (HUB_ID, "hub", 64)
    request = Txt2ImgRequest(prompt="a cat", seed=1, scheduler="DDIM", num_inference_steps=3)
    result = studio.txt2img(request)
    assert result.request.model == HUB_ID
    assert studio.tokens("a cat").count == 2
    same = random_studio.txt2img(Txt2ImgRequest(**{**vars(request), "guidance_scale": 7.5}), save=False)
    assert result.images[0].tobytes() == same.images[0].tobytes()


def test_the_fp16_variant_is_loaded_where_there_is_one(hub_folder):
    for file in hub_folder.glob("*/*.safetensors"):
        file.rename(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    components = load_folder(hub_folder, torch.float32)
    assert components["unet"].dtype == torch.float32
    assert "safety_checker" not in components


def test_a_part_without_fp16_falls_back_to_its_plain_file(hub_folder):
    file = hub_folder / "unet/diffusion_pytorch_model.safetensors"
    file.rename(file.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert load_folder(hub_folder, torch.float32)["vae"] is not None


def test_an_incomplete_download_is_not_taken_for_a_model(hub_folder, tmp_path):
    (hub_folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    info = find_model(Settings(models_dir=tmp_path / "none", model=HUB_ID), HUB_ID)
    assert info.path is None
    assert "Downloaded when first used" in info.note


FILES = [
    "v1-5-pruned.ckpt",
    "v1-5-pruned.safetensors",
    "safety_checker/model.fp16.safetensors",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/model.safetensors",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
]


def test_of_a_repository_only_the_smallest_safe_weights_are_fetched():
    assert choose_weights(HUB_ID, FILES, PARTS[:-1]) == [
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.fp16.safetensors",
    ]


def test_a_repository_of_pickles_is_refused_before_the_download():
    with pytest.raises(ValueError, match="no safetensors weights for its unet"):
        choose_weights(HUB_ID, [file for file in FILES if not file.endswith("safetensors")], PARTS[:-1])


def test_without_a_network_the_error_says_what_to_do(tmp_path):
    code = f"""
        from sd_app import Settings, Studio, Txt2ImgRequest
        studio = Studio(Settings(model="{HUB_ID}", outputs_dir={str(tmp_path)!r}))
        try:
            studio.txt2img(Txt2ImgRequest(prompt="a"))
        except OSError as error:
            print(error)
    """
    environment = {
        **os.environ,
        "HF_HUB_CACHE": str(tmp_path),
        "HF_ENDPOINT": CLOSED,
        "HF_HUB_OFFLINE": "0",
    }
    command = [sys.executable, "-c", textwrap.dedent(code)]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=True)
    assert f"{HUB_ID} cannot be downloaded" in output.stdout
    assert "connect once to fetch it, or give a folder" in output.stdout


def test_a_folder_that_cannot_be_used_is_refused_by_the_loader_too(copied_model):
    (copied_model / "vae/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ValueError, match="model-a cannot be used: its vae holds no"):
        load_folder(copied_model, torch.float32)


def test_a_damaged_weights_file_is_an_error_and_the_next_job_runs(copied_model, tmp_path):
    weights = copied_model / "unet/diffusion_pytorch_model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[: len(good) // 2])
    studio = Studio(Settings(models_dir=copied_model.parent, model="model-a", outputs_dir=tmp_path))
    with pytest.raises(ValueError, match=r"model-a cannot be used: unet/.*it is cut off: [\d,]+ of"):
        studio.txt2img(Txt2ImgRequest(prompt="a"))
    weights.write_bytes(good)
    assert studio.txt2img(Txt2ImgRequest(prompt="a")).images


def test_a_downloaded_snapshot_is_not_fetched_again(hub_folder):
    assert download_snapshot(HUB_ID) == hub_folder


def test_a_first_use_tells_that_it_downloads_and_takes_the_models_own_size(hub_folder, tmp_path, monkeypatch):
    weights = hub_folder / "unet/diffusion_pytorch_model.safetensors"
    aside = weights.rename(tmp_path / "aside")
    monkeypatch.setattr(run, "download_snapshot", lambda *_: aside.rename(weights))
    studio = Studio(Settings(models_dir=tmp_path / "none", model=HUB_ID, outputs_dir=tmp_path / "out"))
    texts: list[str] = []
    request = Txt2ImgRequest(prompt="a", scheduler="DDIM", num_inference_steps=1)
    result = studio.txt2img(request, lambda step: texts.append(step.text))
    assert texts == [f"Downloading {HUB_ID}", f"Loading {HUB_ID}", "Denoising", "Decoding", "Finished"]
    assert result.images[0].size == (64, 64)
