"""Distil a small decoder for previews from the embedded model's own VAE, and measure it.

It learns what the VAE makes of the latents that a preview shows: what the U-Net predicts on its way, and
what pictures become that a job begins with.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from ..addons.preview_decoders import OWN
from ..checkpoints.folders import describe_folder
from ..probes.previews import latents_to_images, preview_sheet
from ..weights.preview_decoders import decode_to_pixels, load_decoder
from ..weights.small_decoder import SmallDecoder
from . import drawing, networks, world
from .card import GUIDANCE_SCALE, STEPS
from .loop import Stage

PARTS = 4  # files of training latents, numbered from 0; the one after them is for measuring
PICTURES_OF_PART = 14  # generated, each with the STEPS latents that were predicted on its way
DRAWN_OF_PART = 100  # pictures of the world, half of them in colours that it does not have; as many mixtures
BATCH = 32
PAIRS = tuple[NDArray[np.float16], NDArray[np.uint8]]  # latents (N, 4, 16, 16), pixels (N, 128, 128, 3)


def load_or_make(models_dir: Path, folder: Path, *, parts: range, share: float = 1.0) -> list[PAIRS]:
    """Return latents and what the VAE makes of them, a pair a part; those not in the folder are made first.

    A part depends on its number alone, so a run that was stopped goes on with the next one. A `share` of its
    pictures is for a trial.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [(folder / f"latents-{part}.npy", folder / f"pixels-{part}.npy") for part in parts]
    missing = [part for part, (_, pixels) in zip(parts, names, strict=True) if not pixels.exists()]
    if missing:
        pipeline = load_pipeline(models_dir)
        for part in tqdm(missing, "latents and their pictures", mininterval=10):
            made = make_part(pipeline, part, share)
            np.save(folder / f"latents-{part}.npy", made[0])
            partial = folder / f"pixels-{part}.partial.npy"
            np.save(partial, made[1])
            partial.replace(folder / f"pixels-{part}.npy")
    return [(np.load(latents), np.load(pixels, mmap_mode="r")) for latents, pixels in names]


def load_pipeline(models_dir: Path) -> StableDiffusionPipeline:
    """Load the embedded model for work on the CPU."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        models_dir / "tiny-sd", dtype=torch.float32, local_files_only=True, safety_checker=None
    )
    pipeline.vae.to(memory_format=torch.channels_last)
    return pipeline


@torch.no_grad()
def make_part(pipeline: StableDiffusionPipeline, part: int, share: float = 1.0) -> PAIRS:
    """Make one part: what the model predicts on its way to pictures, and what the VAE makes of drawn ones."""
    rng = np.random.default_rng((21, part))
    drawn = torch.cat([encode(pipeline, picture) for picture in _drawn_pictures(rng, _drawn(share))])
    shares = torch.from_numpy(rng.random((len(drawn), 1, 1, 1))).float()
    mixed = drawn * shares + drawn[rng.permutation(len(drawn))] * (1 - shares)
    latents = torch.cat([predictions(pipeline, rng, part, _generated(share)), drawn, mixed])
    pixels = [
        ((decode(pipeline, some).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
        for some in latents.split(10)
    ]
    return latents.half().numpy(), torch.cat(pixels).numpy()


def _generated(share: float) -> int:
    """Return how many pictures of a part are generated."""
    return max(1, round(PICTURES_OF_PART * share))


def _drawn(share: float) -> int:
    """Return how many of a part are drawn."""
    return max(2, round(DRAWN_OF_PART * share))


def _drawn_pictures(rng: np.random.Generator, count: int) -> Iterator[torch.Tensor]:
    """Yield pictures of the world, (1, 3, 128, 128) in -1..1; every second one in other colours."""
    for number in range(count):
        scene = world.random_scene(rng, held_out=None)
        picture = networks.to_unit(np.asarray(drawing.render(scene, rng))[None])
        if number % 2:
            gains = torch.from_numpy(rng.uniform(-1, 1, (1, 3, 1, 1))).float()
            biases = torch.from_numpy(rng.uniform(-0.5, 0.5, (1, 3, 1, 1))).float()
            picture = (picture[:, rng.permutation(3)] * gains + biases).clamp(-1, 1)
        yield picture


def predictions(
    pipeline: StableDiffusionPipeline, rng: np.random.Generator, seed: int, pictures: int
) -> torch.Tensor:
    """Return what each step of several pictures predicts as the end (x0), (N, 4, 16, 16)."""
    scenes = [world.random_scene(rng, held_out=None) for _ in range(pictures)]
    texts = [world.caption(scene, rng)[0] for scene in scenes]
    tokens = pipeline.tokenizer(
        [*([""] * len(texts)), *texts],
        padding="max_length", truncation=True, max_length=77, return_tensors="pt",
    )  # fmt: skip
    embeds = pipeline.text_encoder(tokens.input_ids)[0]
    scales = torch.from_numpy(rng.uniform(1, 2 * GUIDANCE_SCALE, (len(texts), 1, 1, 1))).float()
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(STEPS)
    latents = torch.randn(len(texts), 4, 16, 16, generator=torch.Generator().manual_seed(seed))
    predicted = []
    for timestep in scheduler.timesteps:
        noise_pred = pipeline.unet(torch.cat([latents, latents]), timestep, embeds).sample
        negative, positive = noise_pred.chunk(2)
        step = scheduler.step(negative + scales * (positive - negative), timestep, latents)
        latents = step.prev_sample
        predicted.append(step.pred_original_sample)
    return torch.cat(predicted)


def encode(pipeline: StableDiffusionPipeline, pixels: torch.Tensor) -> torch.Tensor:
    """Encode pixels in -1..1 to latents as the U-Net sees them."""
    latents: torch.Tensor = pipeline.vae.encode(pixels).latent_dist.mean
    return latents * pipeline.vae.config.scaling_factor


def decode(pipeline: StableDiffusionPipeline, latents: torch.Tensor) -> torch.Tensor:
    """Decode latents, as the U-Net sees them, to pixels, about -1..1."""
    pixels: torch.Tensor = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return pixels


def preview_stage(pairs: list[PAIRS], *, steps: int) -> Stage:
    """Distillation by L1, L1 of gradients and MSE against what the VAE makes of the same latents."""
    torch.manual_seed(0)
    decoder = SmallDecoder().train().to(memory_format=torch.channels_last)

    def loss(rng: np.random.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        latents, pixels = pairs[rng.integers(len(pairs))]
        rows = np.sort(rng.integers(0, len(latents), BATCH))
        target = networks.to_unit(pixels[rows])
        error = decoder(torch.from_numpy(latents[rows]).float()) - target
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        mse = error.square().mean()
        total = error.abs().mean() + 0.5 * edges + 2.0 * mse
        return total, {"psnr": 10 * torch.log10(4 / mse.detach()).item()}

    modules: dict[str, nn.Module] = {"preview": decoder}
    return Stage(name="preview", modules=modules, loss=loss, steps=steps, muon_lr=2e-2, adam_lr=5e-3, seed=16)


def measure(models_dir: Path, folder: Path, *, share: float = 1.0) -> dict[str, float]:
    """PSNR in dB against what the VAE makes of latents that were not trained on, all of one kind together.

    "linear map" is what a preview without the decoder shows of the predictions, enlarged to the same size.
    """
    ((latents, pixels),) = load_or_make(models_dir, folder, parts=range(PARTS, PARTS + 1), share=share)
    decoder = load_decoder(models_dir / "tiny-sd" / OWN)
    latent_rgb = describe_folder(models_dir / "tiny-sd").latent_rgb
    assert latent_rgb
    errors: list[float] = []
    rough: list[float] = []
    for row, true in zip(torch.from_numpy(latents).float(), pixels, strict=True):
        drawn = decode_to_pixels(decoder, row[None])[0].numpy()
        sheet = preview_sheet(latents_to_images(row[None], latent_rgb), side=world.PICTURE_PIXELS)
        for found, picture in ((errors, drawn), (rough, np.asarray(sheet))):
            found.append(float(np.square(picture.astype(np.float64) - true).mean()))
    pictures = _generated(share)
    count = STEPS * pictures
    sets = {
        "predictions": errors[:count],
        "first three predictions": errors[: 3 * pictures],
        "last prediction": errors[count - pictures : count],
        "drawn pictures": errors[count : count + _drawn(share)],
        "linear map": rough[:count],
    }
    return {name: round(float(10 * np.log10(255**2 / np.mean(some))), 1) for name, some in sets.items()}
