"""Load a checkpoint from one .safetensors file with the original names. Offline: its shapes say the rest.

diffusers' own tables turn the original names of U-Net, VAE and open_clip's text encoder into its own.
"""

from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from ..checkpoints import TEXT_ENCODERS, UNET, VAE, TextConfig, inspect, make_configs, read_header
from ..full_memory import is_out_of_memory
from .clip_tokenizer import EOS_TOKEN, OPEN_CLIP_PAD, build_tokenizer
from .components import Components, LoadedParts

Weights = dict[str, Tensor]


def load_file(path: Path, dtype: torch.dtype) -> LoadedParts:
    """Load all parts of a checkpoint file into main memory, by the name the pipeline gives them.

    The weights are copies, so the file may change or go afterwards. Raise ValueError saying what is wrong
    with the file, OSError if it cannot be read.
    """
    try:
        return _load_parts(path, dtype)
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be used: {error}") from error
    except KeyError as error:  # of diffusers' conversion
        raise ValueError(f"{path.name} cannot be used: it lacks the tensor {error}") from error
    except IndexError as error:
        raise ValueError(
            f"{path.name} cannot be used: it has a tensor of another shape than its family's: {error}"
        ) from error
    except (SafetensorError, OSError) as error:
        raise OSError(f"{path.name} cannot be read: {error}") from error


def build_tokenizers(family: str) -> Components:
    """Build the tokenizers of a family by the name the pipeline gives them."""
    pads = {"sd1": [EOS_TOKEN], "sd2": [OPEN_CLIP_PAD], "sdxl": [EOS_TOKEN, OPEN_CLIP_PAD]}[family]
    tokenizers: Components = {"tokenizer": build_tokenizer(pads[0])}
    if len(pads) > 1:
        tokenizers["tokenizer_2"] = build_tokenizer(pads[1])
    return tokenizers


def _load_parts(path: Path, dtype: torch.dtype) -> LoadedParts:
    facts, header = inspect(path), read_header(path)
    configs = make_configs(header, facts)
    components: LoadedParts = {
        **build_tokenizers(facts.family),
        "scheduler": DDIMScheduler(**configs.scheduler),
    }
    with safe_open(path, framework="pt") as file:
        prefixes, text_configs = TEXT_ENCODERS[facts.family], configs.text_encoders
        components["text_encoder"] = _load_text_encoder(
            CLIPTextModel, text_configs[0], _read(file, prefixes[0]), prefixes[0], dtype
        )
        if facts.family == "sdxl":  # whose second encoder also gives the whole prompt as one vector
            components["text_encoder_2"] = _load_text_encoder(
                CLIPTextModelWithProjection, text_configs[1], _read(file, prefixes[1]), prefixes[1], dtype
            )
        with init_empty_weights():
            vae, unet = AutoencoderKL(**configs.vae), UNet2DConditionModel(**configs.unet)
        weights = convert_ldm_vae_checkpoint(_read(file, VAE), configs.vae)
        components["vae"] = fill_module(vae, weights, "VAE", dtype)
        weights = convert_ldm_unet_checkpoint(_read(file, UNET), configs.unet)
        components["unet"] = fill_module(unet, weights, "U-Net", dtype)
    return components


def _read(file: safe_open, prefix: str) -> Weights:
    """Map the tensors under a prefix; their bytes are read when they are copied."""
    return {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118


def _load_text_encoder(
    model_class: type[nn.Module], config: TextConfig, weights: Weights, prefix: str, dtype: torch.dtype
) -> nn.Module:
    with init_empty_weights():
        model = model_class(CLIPTextConfig(**config))
    if f"{prefix}positional_embedding" in weights:
        # Stable Diffusion 2 ends before open_clip's last layer.
        unread = f"{prefix}transformer.resblocks.{config['num_hidden_layers']}."
        weights = {name: weight for name, weight in weights.items() if not name.startswith(unread)}
        weights = convert_open_clip_checkpoint(model, weights, prefix=prefix)
    # transformers' class with a projection keeps its encoder under "text_model.", the other one does not.
    names = {name.removeprefix("text_model."): name for name in model.state_dict()}
    plain = {name.removeprefix(prefix).removeprefix("text_model."): weights[name] for name in weights}
    known = {names[name]: weight for name, weight in plain.items() if name in names}  # not position_ids, say
    return fill_module(model, known, "text encoder", dtype)


def fill_module(model: nn.Module, weights: Weights, part: str, dtype: torch.dtype) -> nn.Module:
    """Give an empty model copies of its weights. Raise ValueError if they are not exactly those it needs."""
    copies = {name: weight.to(dtype, copy=True) for name, weight in weights.items()}
    try:
        wrong = model.load_state_dict(copies, strict=False, assign=True)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        first = str(error).split("\n\t")[1]
        raise ValueError(f"its {part} has a tensor of another shape than its family's: {first}") from error
    for word, names in (("lacks", wrong.missing_keys), ("has too many:", wrong.unexpected_keys)):
        if names:
            raise ValueError(f"its {part} {word} {len(names)} tensors, {names[0]} for one")
    return model.eval()
