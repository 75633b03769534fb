"""Load a checkpoint from one .safetensors file. Offline: its tensors say how it is built."""

from collections.abc import Mapping
from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
from transformers.initialization import no_init_weights

from ..checkpoints import Sources, file_scheduler, find_parts, inspect, read_header
from ..user_files import reason_of
from .clip_tokenizer import EOS_TOKEN, OPEN_CLIP_PAD, build_tokenizer
from .components import Components, LoadedParts
from .tensor_files import Reader, fill_module


def load_file(path: Path, dtype: torch.dtype) -> LoadedParts:
    """Load all parts of a checkpoint file into main memory, by the name the pipeline gives them.

    The weights are copies, so the file may change or go afterwards. Raise ValueError saying what is wrong
    with the file, OSError if it cannot be read.
    """
    try:
        facts, parts = inspect(path), find_parts(read_header(path), path)
        networks = build_networks(
            parts.unet | {"sample_size": facts.native_size // 8},
            parts.vae,
            parts.text_encoders,
            (parts.unet_sources, parts.vae_sources, *parts.text_sources),
            dtype,
        )
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be used: {error}") from error
    except OSError as error:
        raise OSError(f"{path.name} cannot be read: {reason_of(error, path)}") from error
    loaded: LoadedParts = {
        **build_tokenizers(facts.family),
        **networks,
        "scheduler": DDIMScheduler(**file_scheduler(facts)),
    }
    return loaded


def build_networks(
    unet: Mapping[str, object],
    vae: Mapping[str, object],
    text_encoders: tuple[Mapping[str, object], ...],
    sources: tuple[Sources, ...],
    dtype: torch.dtype,
) -> Components:
    """Build a checkpoint's networks and fill them: U-Net, VAE, then one text encoder or SDXL's two."""
    reader = Reader()
    with init_empty_weights(), no_init_weights():  # all of them are read
        empty_unet, empty_vae = UNet2DConditionModel.from_config(unet), AutoencoderKL.from_config(vae)
        encoders = [
            made(CLIPTextConfig.from_dict(dict(config)))
            for made, config in zip((CLIPTextModel, CLIPTextModelWithProjection), text_encoders, strict=False)
        ]
    filled: Components = {}
    # SDXL's second encoder also gives the whole prompt as one vector.
    for name, encoder, found in zip(("text_encoder", "text_encoder_2"), encoders, sources[2:], strict=False):
        filled[name] = fill_module(encoder, found, "text encoder", dtype, reader)  # type: ignore[literal-required]
    filled["vae"] = fill_module(empty_vae, sources[1], "VAE", dtype, reader)
    filled["unet"] = fill_module(empty_unet, sources[0], "U-Net", dtype, reader)
    return filled


def build_tokenizers(family: str) -> Components:
    """Build the tokenizers of a family by the name the pipeline gives them."""
    pads = {"sd1": [EOS_TOKEN], "sd2": [OPEN_CLIP_PAD], "sdxl": [EOS_TOKEN, OPEN_CLIP_PAD]}[family]
    tokenizers: Components = {"tokenizer": build_tokenizer(pads[0])}
    if len(pads) > 1:
        tokenizers["tokenizer_2"] = build_tokenizer(pads[1])
    return tokenizers
