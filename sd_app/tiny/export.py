"""Write the trained parts as fp16 safetensors: a diffusers folder, an open_clip folder, the judge, BLIP."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from transformers import BlipProcessor, CLIPModel

from ..addons.preview_decoders import OWN
from ..weights.small_decoder import SmallDecoder
from . import networks, world
from .data import PictureSet
from .judge import Judge
from .loop import load_average
from .phrase_lists import write_phrases
from .tokenizer import build_tokenizer, save_tokenizer
from .wordpiece import build_caption_tokenizer, read_vocabulary

SHARD_SIZE = "9900KB"
EXAMPLE_PROMPTS = (
    "a big orange kitten in a meadow",
    "a big yellow star in the night sky",
    "a green boat at sunset",
    "a big red cat on the beach",
    "a blue house in the snow, watercolor",
    "a pink flower, in Edvard Munch style",
)
DRAWS = (
    "This model draws one thing at a time: a cat, dog, bird, fish, house, tree, boat, flower, car, star,"
    " heart, moon or simple shape, in one color, on a plain background, at the sea, on a beach, in a meadow,"
    " in snow, at sunset or at night, also as a sketch, watercolor, pixel art or in Edvard Munch style."
)


def export(work: Path, models_dir: Path, pictures: PictureSet) -> None:
    """Write models_dir/tiny-sd, tiny-clip, tiny-judge and tiny-blip from the newest checkpoints in `work`."""
    clip = load_average("clip", networks.build_clip(), work)
    vae = load_average("vae", networks.build_vae(), work)
    unet = load_average("unet", networks.build_unet(), work)
    vae.register_to_config(**json.loads((work / "latents.json").read_text()))
    _save_pipeline(models_dir / "tiny-sd", clip, vae, unet)
    _save_profile(models_dir / "tiny-sd", vae, pictures)
    save_open_clip(models_dir / "tiny-clip", clip)
    write_phrases(models_dir / "tiny-clip" / "phrases")
    judge = load_average("judge", Judge(), work)
    _save_half(judge.state_dict(), models_dir / "tiny-judge" / "model.safetensors")
    export_captioner(work, models_dir)


def export_captioner(work: Path, models_dir: Path) -> None:
    """Write models_dir/tiny-blip in transformers' layout."""
    blip = load_average("blip", networks.build_blip(), work)
    folder = models_dir / "tiny-blip"
    blip.half().save_pretrained(folder)
    processor = BlipProcessor(networks.build_caption_image_processor(), build_caption_tokenizer())
    processor.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(read_vocabulary()) + "\n")  # older tools ask for it
    (folder / "model.safetensors").chmod(0o644)


def export_preview_decoder(work: Path, models_dir: Path) -> None:
    """Write the small decoder for previews beside the embedded model's parts."""
    decoder = load_average("preview", SmallDecoder(), work)
    _save_half(decoder.state_dict(), models_dir / "tiny-sd" / OWN)


def _save_pipeline(folder: Path, clip: CLIPModel, vae: AutoencoderKL, unet: UNet2DConditionModel) -> None:
    for stale in folder.glob("*/*.safetensors*"):
        stale.unlink()
    pipeline = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=networks.build_text_encoder(clip).half(),
        tokenizer=build_tokenizer(),
        unet=unet.half(),
        scheduler=networks.build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, max_shard_size=SHARD_SIZE)
    save_tokenizer(folder / "tokenizer")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)


def _save_profile(folder: Path, vae: AutoencoderKL, pictures: PictureSet) -> None:
    """studio.json: what the app should know of the model beyond diffusers' own files."""
    factors, bias = fit_latent_rgb(vae.float(), pictures.pixels[:300])
    profile = {
        "title": "Tiny (embedded)",
        "native_size": world.PICTURE_PIXELS,
        "default_steps": 25,
        "default_guidance_scale": 5.0,
        "default_scheduler": "DDIM",
        "example_prompts": list(EXAMPLE_PROMPTS),
        "draws": DRAWS,
        "known_words": world.caption_words(),
        "note": "Trained by this project on drawn pictures of 128x128 pixels.",
        "latent_rgb": {"factors": factors, "bias": bias},
    }
    (folder / "studio.json").write_text(json.dumps(profile, indent=2) + "\n")


@torch.inference_mode()
def fit_latent_rgb(vae: AutoencoderKL, pixels: NDArray[np.uint8]) -> tuple[list[list[float]], list[float]]:
    """Least squares from scaled latents (4) to the picture reduced eightfold, RGB in [0, 1]."""
    images = networks.to_unit(pixels)
    latents = vae.encode(images).latent_dist.mean * vae.config.scaling_factor
    targets = (nn.functional.avg_pool2d(images, 8).permute(0, 2, 3, 1).reshape(-1, 3) + 1) / 2
    inputs = latents.permute(0, 2, 3, 1).reshape(-1, 4)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)
    solution = torch.linalg.lstsq(inputs, targets).solution.tolist()
    rounded = [[round(value, 4) for value in row] for row in solution]
    return rounded[:4], rounded[4]


def save_open_clip(folder: Path, clip: nn.Module) -> None:
    """The whole CLIP in open_clip's local-dir layout: `create_model("local-dir:FOLDER")` reads it."""
    text, vision = networks.TEXT, networks.VISION
    config = {
        "model_cfg": {
            "embed_dim": text["projection_dim"],
            "vision_cfg": {
                "image_size": vision["image_size"],
                "layers": vision["num_hidden_layers"],
                "width": vision["hidden_size"],
                "head_width": vision["hidden_size"] // vision["num_attention_heads"],
                "mlp_ratio": vision["intermediate_size"] / vision["hidden_size"],
                "patch_size": vision["patch_size"],
            },
            "text_cfg": {
                "context_length": text["max_position_embeddings"],
                "vocab_size": text["vocab_size"],
                "width": text["hidden_size"],
                "heads": text["num_attention_heads"],
                "layers": text["num_hidden_layers"],
                "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
            },
        },
        "preprocess_cfg": {"mean": networks.PIXEL_MEAN, "std": networks.PIXEL_STD},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    _save_half(to_open_clip(clip), folder / "open_clip_model.safetensors")


def to_open_clip(clip: nn.Module) -> dict[str, torch.Tensor]:
    """transformers' CLIPModel weights under open_clip's names (q, k, v stacked; projections transposed)."""
    theirs = clip.state_dict()
    ours = {
        "logit_scale": theirs["logit_scale"],
        "token_embedding.weight": theirs["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": theirs["text_model.embeddings.position_embedding.weight"],
        "text_projection": theirs["text_projection.weight"].T,
        "visual.class_embedding": theirs["vision_model.embeddings.class_embedding"],
        "visual.conv1.weight": theirs["vision_model.embeddings.patch_embedding.weight"],
        "visual.positional_embedding": theirs["vision_model.embeddings.position_embedding.weight"],
        "visual.proj": theirs["visual_projection.weight"].T,
    }
    norms = {
        "ln_final": "text_model.final_layer_norm",
        "visual.ln_pre": "vision_model.pre_layrnorm",
        "visual.ln_post": "vision_model.post_layernorm",
    }
    linears: dict[str, str] = {}
    for our_tower, their_tower in (("", "text_model"), ("visual.", "vision_model")):
        layers = sum(
            key.startswith(f"{their_tower}.encoder.layers.") and key.endswith("mlp.fc1.bias")
            for key in theirs
        )
        for k in range(layers):
            our, their = f"{our_tower}transformer.resblocks.{k}", f"{their_tower}.encoder.layers.{k}"
            norms |= {f"{our}.ln_1": f"{their}.layer_norm1", f"{our}.ln_2": f"{their}.layer_norm2"}
            linears |= {f"{our}.attn.out_proj": f"{their}.self_attn.out_proj"}
            linears |= {f"{our}.mlp.c_fc": f"{their}.mlp.fc1", f"{our}.mlp.c_proj": f"{their}.mlp.fc2"}
            for part in ("weight", "bias"):
                stacked = [theirs[f"{their}.self_attn.{name}_proj.{part}"] for name in "qkv"]
                ours[f"{our}.attn.in_proj_{part}"] = torch.cat(stacked)
    for our, their in (norms | linears).items():
        ours |= {f"{our}.{part}": theirs[f"{their}.{part}"] for part in ("weight", "bias")}
    return ours


def _save_half(state: dict[str, torch.Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.half().contiguous() for key, value in state.items()}, path)
    path.chmod(0o644)


def contact_sheet(pictures: list[Image.Image], columns: int, gap: int = 4) -> Image.Image:
    """Pictures of one size in rows on white."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for k, picture in enumerate(pictures):
        sheet.paste(picture, (k % columns * (width + gap), k // columns * (height + gap)))
    return sheet
