"""The stages of the recipe: what each trains, on which batches, with which loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm
from transformers import CLIPModel

from . import networks, world
from .data import CAPTIONS_PER_PICTURE, PictureSet
from .loop import Stage, load_average
from .wordpiece import build_caption_tokenizer

ATTRIBUTE_SIZES = [len(names) for names in world.ATTRIBUTES.values()]
EMPTY_CAPTION_SHARE = 0.10
PLAIN_CAPTION_SHARE = 0.5
MIN_SNR = 5.0


def autocast() -> torch.autocast:
    """Return the context in which the CPU multiplies in bfloat16."""
    return torch.autocast("cpu", torch.bfloat16)


# --- CLIP -------------------------------------------------------------------------------------------------


class AttributeHeads(nn.Module):
    """One linear classifier for each attribute, over features (B, D): the teacher of details."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, size) for size in ATTRIBUTE_SIZES)

    def loss(self, features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean cross entropy; targets (B, 6) with -1 where nothing was stated."""
        losses = [
            F.cross_entropy(head(features), targets[:, k], ignore_index=world.NOT_STATED)
            for k, head in enumerate(self.heads)
            if bool((targets[:, k] != world.NOT_STATED).any())
        ]
        return torch.stack(losses).mean()


def clip_stage(pictures: PictureSet, *, steps: int, batch: int) -> Stage:
    """Contrastive training (Radford et al. 2021) that spares captions which are true of several pictures."""
    torch.manual_seed(0)
    clip = networks.build_clip().train()
    image_heads, text_heads = AttributeHeads(128), AttributeHeads(128)

    def loss(rng: np.random.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        rows = np.sort(rng.choice(len(pictures), batch, replace=False))
        which = rng.integers(0, CAPTIONS_PER_PICTURE, batch)
        images = networks.to_unit(pictures.pixels[rows])
        tokens = torch.from_numpy(pictures.tokens[rows, which].astype(np.int64))
        attributes = torch.from_numpy(pictures.attributes[rows].astype(np.int64))
        stated = torch.from_numpy(pictures.stated[rows, which].astype(np.int64))
        with autocast():
            image_features = clip.get_image_features(pixel_values=images).pooler_output.float()
            text_features = _text_features(clip, tokens).float()
        contrast = contrastive_loss(image_features, text_features, clip.logit_scale, attributes, stated)
        details = image_heads.loss(image_features, attributes) + text_heads.loss(text_features, stated)
        return contrast + 0.5 * details, {"contrast": contrast.item(), "details": details.item()}

    modules = {"clip": clip, "image_heads": image_heads, "text_heads": text_heads}
    return Stage(name="clip", modules=modules, loss=loss, steps=steps, muon_lr=2e-3, adam_lr=1e-3, seed=11)


def _text_features(clip: CLIPModel, tokens: torch.Tensor) -> torch.Tensor:
    """Features up to the batch's last end token: the tower is causal, so the rest changes nothing."""
    end = int((tokens == networks.EOS_TOKEN_ID).int().argmax(1).max()) + 1
    return clip.get_text_features(input_ids=tokens[:, :end]).pooler_output


def contrastive_loss(
    image_features: torch.Tensor,
    text_features: torch.Tensor,
    logit_scale: torch.Tensor,
    attributes: torch.Tensor,
    stated: torch.Tensor,
) -> torch.Tensor:
    """Symmetric InfoNCE over (B, D) features. A pair off the diagonal whose caption is true is left out."""
    images, texts = F.normalize(image_features, dim=-1), F.normalize(text_features, dim=-1)
    logits = logit_scale.clamp(max=4.6).exp() * images @ texts.T
    said = stated[None]
    is_true = ((said == world.NOT_STATED) | (said == attributes[:, None])).all(-1)
    is_true.fill_diagonal_(False)
    logits = logits.masked_fill(is_true, -1e4)
    targets = torch.arange(len(logits))
    return 0.5 * (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets))


# --- BLIP -------------------------------------------------------------------------------------------------


def blip_stage(pictures: PictureSet, *, steps: int, batch: int) -> Stage:
    """Language modelling of true captions (Li et al. 2022), with attribute heads on the image tower.

    Every caption states all six attributes; half are in the plain form, so that the likeliest caption is
    that one, and half in varied words, so that a caption begun in other words can be finished too.
    """
    torch.manual_seed(0)
    blip, heads = networks.build_blip().train(), AttributeHeads(networks.BLIP_VISION["hidden_size"])
    tokenizer = build_caption_tokenizer()

    def loss(rng: np.random.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        rows = np.sort(rng.integers(0, len(pictures), batch))
        captions = [_caption_for_blip(row, rng) for row in pictures.attributes[rows]]
        tokens = tokenizer(captions, padding=True, return_tensors="pt")
        tokens.input_ids[:, 0] = blip.decoder_input_ids
        labels = tokens.input_ids.masked_fill(tokens.attention_mask == 0, -100)
        with autocast():
            told = blip(networks.to_unit(pictures.pixels[rows]), **tokens, labels=labels)
        attributes = torch.from_numpy(pictures.attributes[rows].astype(np.int64))
        details = heads.loss(told.image_embeds[:, 0].float(), attributes)
        return told.loss + 0.5 * details, {"words": told.loss.item(), "details": details.item()}

    modules = {"blip": blip, "heads": heads}
    return Stage(name="blip", modules=modules, loss=loss, steps=steps, muon_lr=2e-3, adam_lr=1e-3, seed=15)


def _caption_for_blip(attributes: NDArray[np.int8], rng: np.random.Generator) -> str:
    scene = world.from_indices(attributes)
    if rng.random() < PLAIN_CAPTION_SHARE:
        return world.plain_caption(scene)
    return world.caption(scene, rng, full=True)[0]


# --- VAE --------------------------------------------------------------------------------------------------


def vae_stage(pictures: PictureSet, *, steps: int) -> Stage:
    """Reconstruction by L1, L1 of gradients and MSE, with a small KL term (Kingma & Welling 2014).

    The first 60 % of the steps see crops of 64 pixels on the latent grid, the rest whole pictures, so that
    the group norms meet what they will meet in use.
    """
    torch.manual_seed(0)
    vae = networks.build_vae().train().to(memory_format=torch.channels_last)
    with torch.no_grad():  # a narrow posterior at first: the decoder learns on clean latents
        vae.quant_conv.bias[4:] = -5.0

    def loss(rng: np.random.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        images = _crops(pictures, rng, 64, 8) if progress < 0.6 else _crops(pictures, rng, 128, 2)
        with autocast():
            posterior = vae.encode(images).latent_dist
            mean, logvar = posterior.mean.float(), posterior.logvar.float()
            latents = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
            decoded = vae.decode(latents).sample.float()
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        error = decoded - images
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        mse = error.square().mean()
        total = error.abs().mean() + 0.5 * edges + 2.0 * mse + 5e-4 * kl
        return total, {"psnr": 10 * torch.log10(4 / mse.detach()).item(), "kl": kl.item()}

    return Stage(
        name="vae", modules={"vae": vae}, loss=loss, steps=steps, muon_lr=2e-3, adam_lr=1e-3, seed=12
    )


def _crops(pictures: PictureSet, rng: np.random.Generator, pixels: int, count: int) -> torch.Tensor:
    """Random crops (count, 3, pixels, pixels) whose corners lie on the 8-pixel latent grid."""
    crops = []
    for row in rng.integers(0, len(pictures), count):
        y, x = 8 * rng.integers(0, (world.PICTURE_PIXELS - pixels) // 8 + 1, 2)
        crops.append(pictures.pixels[row, y : y + pixels, x : x + pixels])
    images = networks.to_unit(np.stack(crops))
    return images.contiguous(memory_format=torch.channels_last)


# --- U-Net ------------------------------------------------------------------------------------------------


@torch.no_grad()
def encode_latents(vae: AutoencoderKL, pictures: PictureSet, path: Path, *, start: int, end: int) -> None:
    """Write posterior means and deviations of pictures start..end as (N, 8, 16, 16) fp16."""
    parts = []
    vae.to(memory_format=torch.channels_last)
    for first in tqdm(range(start, end, 50), "latents", mininterval=10):
        rows = slice(first, min(first + 50, end))
        images = networks.to_unit(pictures.pixels[rows])
        with autocast():
            posterior = vae.encode(images.contiguous(memory_format=torch.channels_last)).latent_dist
        parts.append(torch.cat([posterior.mean.float(), posterior.std.float()], 1).half().numpy())
    np.save(path, np.concatenate(parts))


def unet_stage(
    pictures: PictureSet,
    latents: NDArray[np.float16],
    work: Path,
    *,
    scaling_factor: float,
    steps: int,
    batch: int,
) -> Stage:
    """Noise prediction (Ho et al. 2020) with min-SNR weights (Hang et al. 2023) and stratified timesteps."""
    torch.manual_seed(0)
    unet = networks.build_unet().train().to(memory_format=torch.channels_last)
    unet.set_attn_processor(AttnProcessor())  # plain products train 1.3x faster than SDPA's backward on a CPU
    clip = load_average("clip", networks.build_clip(), work)
    text_encoder = networks.build_text_encoder(clip).requires_grad_(False)
    alphas = networks.build_scheduler().alphas_cumprod
    empty = torch.full((77,), networks.EOS_TOKEN_ID)
    empty[0] = networks.BOS_TOKEN_ID

    def loss(rng: np.random.Generator, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
        rows = rng.integers(0, len(latents), batch)
        moments = torch.from_numpy(latents[rows]).float()
        mean, std = moments.chunk(2, 1)
        clean = (mean + std * torch.randn_like(mean)) * scaling_factor
        tokens = torch.from_numpy(
            pictures.tokens[rows, rng.integers(0, CAPTIONS_PER_PICTURE, batch)].astype(np.int64)
        )
        tokens[torch.from_numpy(rng.random(batch) < EMPTY_CAPTION_SHARE)] = empty
        # One timestep from each of `batch` equal slices: the same expectation with less variance.
        timesteps = torch.from_numpy(((np.arange(batch) + rng.random(batch)) / batch * 1000).astype(np.int64))
        alpha = alphas[timesteps][:, None, None, None]
        noise = torch.randn_like(clean)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        with autocast():
            with torch.no_grad():
                prompt_embeds = text_encoder(tokens).last_hidden_state
            noisy = noisy.contiguous(memory_format=torch.channels_last)
            noise_pred = unet(noisy, timesteps, prompt_embeds).sample.float()
        error = (noise_pred - noise).square().mean((1, 2, 3))
        snr = alphas[timesteps] / (1 - alphas[timesteps])
        weighted = (error * snr.clamp(max=MIN_SNR) / snr).mean()
        return weighted, {"mse": error.mean().item(), "weighted": weighted.item()}

    return Stage(
        name="unet",
        modules={"unet": unet},
        loss=loss,
        steps=steps,
        muon_lr=2e-3,
        adam_lr=1e-3,
        seed=13,
        ema_decay=0.998,
    )
