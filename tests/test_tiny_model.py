"""The committed weights: that they are what the card says, in every layout they come in."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors import safe_open
from transformers import CLIPTextModel, CLIPTokenizer

from sd_app.tiny import data, drawing, evaluate, networks, world
from sd_app.tiny.judge import load_judge

MODELS = Path(__file__).parents[1] / "models"
PROMPTS = ["a red circle", "a small blue cat on the beach, watercolor", "bozuman", "cat " * 90, "!"]


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(MODELS / "tiny-sd" / "tokenizer")


@pytest.fixture(scope="module")
def open_clip_model() -> torch.nn.Module:
    model, _, _ = open_clip.create_model_and_transforms(
        f"local-dir:{MODELS / 'tiny-clip'}", require_pretrained=True
    )
    return model.eval()


@pytest.fixture(scope="module")
def vae() -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(MODELS / "tiny-sd" / "vae", dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def test_pictures(tmp_path_factory) -> data.PictureSet:
    folder = tmp_path_factory.mktemp("world")
    return data.load_or_draw(folder, 160, seed=data.TEST_SEED, held_out=None, workers=2)


def test_the_tokenizer_is_clips(tokenizer):
    assert len(tokenizer) == 49_408
    assert tokenizer.model_max_length == 77
    ids = tokenizer("bozuman").input_ids
    assert ids == [49_406, 647, 4091, 786, 49_407]
    assert tokenizer.convert_ids_to_tokens(ids[1:-1]) == ["bo", "zu", "man</w>"]
    theirs = open_clip.get_tokenizer("ViT-B-32")
    for prompt in PROMPTS:
        ours = tokenizer(prompt, truncation=True, max_length=77).input_ids
        assert ours == [t for t in theirs(prompt)[0].tolist() if t]


@torch.inference_mode()
def test_both_layouts_of_clip_give_the_same_text_features(tokenizer, open_clip_model):
    encoder = CLIPTextModel.from_pretrained(MODELS / "tiny-sd" / "text_encoder", dtype=torch.float32).eval()
    tokens = open_clip.get_tokenizer("ViT-B-32")(PROMPTS)
    theirs = open_clip_model.encode_text(tokens)
    padded = tokenizer(PROMPTS, padding="max_length", truncation=True, max_length=77, return_tensors="pt")
    ours = encoder(padded.input_ids).pooler_output @ open_clip_model.text_projection
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert ours.std() > 0.1, "the features must say something"


def test_files_are_half_precision_safetensors_within_the_size_limits():
    files = [path for path in MODELS.rglob("*") if path.is_file() and path.parts[-2] != MODELS.name]
    embedded = [path for path in files if path.relative_to(MODELS).parts[0].startswith("tiny-")]
    assert sum(path.stat().st_size for path in embedded) < 60e6
    assert not [path for path in embedded if path.suffix in (".bin", ".pt", ".ckpt", ".pkl")]
    for path in (path for path in embedded if path.suffix == ".safetensors"):
        with safe_open(path, "pt") as tensors:
            kinds = {str(tensors.get_slice(key).get_dtype()) for key in tensors.keys()}  # noqa: SIM118
        assert kinds == {"F16"}, path


def test_the_noise_schedule_is_stable_diffusions():
    config = json.loads((MODELS / "tiny-sd" / "scheduler" / "scheduler_config.json").read_text())
    expected = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    expected |= {"num_train_timesteps": 1000, "prediction_type": "epsilon"}
    assert expected.items() <= config.items()


@torch.inference_mode()
def test_the_vae_round_trip_reaches_thirty_decibels(vae, test_pictures):
    images = networks.to_unit(test_pictures.pixels[:60])
    decoded = torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample for part in images.split(20)])
    error = (decoded.clamp(-1, 1) - images).square().mean().item()
    assert 10 * np.log10(4 / error) >= 30


@torch.inference_mode()
def test_scaled_latents_have_unit_variance(vae, test_pictures):
    images = networks.to_unit(test_pictures.pixels[:60])
    latents = vae.encode(images).latent_dist.mean * vae.config.scaling_factor
    assert latents.std().item() == pytest.approx(1, abs=0.1)


@torch.inference_mode()
def test_the_latent_to_rgb_map_shows_the_picture(vae, test_pictures):
    profile = json.loads((MODELS / "tiny-sd" / "studio.json").read_text())["latent_rgb"]
    images = networks.to_unit(test_pictures.pixels[:60])
    latents = vae.encode(images).latent_dist.mean * vae.config.scaling_factor
    shown = torch.einsum("bchw,cr->brhw", latents, torch.tensor(profile["factors"]))
    shown += torch.tensor(profile["bias"])[:, None, None]
    small = (torch.nn.functional.avg_pool2d(images, 8) + 1) / 2
    assert (shown - small).abs().mean() < 0.5 * (small - small.mean()).abs().mean()


def test_clip_finds_the_right_caption(test_pictures):
    figures = evaluate.measure_clip(MODELS / "tiny-clip", test_pictures, count=160)
    assert figures["right caption of 1,000"] >= 94


def test_the_judge_reads_true_pictures():
    judge = load_judge()
    rng = np.random.default_rng(9)
    scenes = [world.random_scene(rng, held_out=None) for _ in range(120)]
    seen = judge.read([drawing.render(scene, rng) for scene in scenes])
    assert evaluate.score(scenes, seen)["all three"] >= 95
    assert evaluate.score(scenes, scenes)["all three"] == 100
