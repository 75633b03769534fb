"""LoRA files with random factors for a model's own layers, in each way that trainers write them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from diffusers.configuration_utils import FrozenDict
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.checkpoint_files import original_unet_name

Layers = dict[str, tuple[Tensor, Tensor, float]]  # part.layer -> down, up, alpha

KOHYA = {"unet": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}
TEXT_NAMES = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


def lora_layers(components: Mapping[str, object], seed: int, *, rank: int = 4, only: str = "") -> Layers:
    """Draw factors for all linear and convolution layers of U-Net and text encoders."""
    generator = torch.Generator().manual_seed(seed)
    found: Layers = {}
    for part in KOHYA:
        if part not in components:
            continue
        network = components[part]
        assert isinstance(network, nn.Module)
        for name, layer in network.named_modules():
            if not isinstance(layer, nn.Linear | nn.Conv2d) or only not in f"{part}.{name}":
                continue
            rows, *rest = layer.weight.shape
            down = 0.3 * torch.randn(rank, *rest, generator=generator)
            up = 0.3 * torch.randn(rows, rank, *(1 for _ in rest[1:]), generator=generator)
            found[f"{part}.{name.removeprefix('text_model.')}"] = (down, up, rank / 2)
    return found


def delta(layer: tuple[Tensor, Tensor, float], shape: torch.Size) -> Tensor:
    """Return alpha/rank * up @ down."""
    down, up, alpha = layer
    return (alpha / len(down) * up.flatten(1) @ down.flatten(1)).reshape(shape)


def kohya(layers: Layers) -> dict[str, Tensor]:
    """Write as kohya's trainer does."""
    is_xl = any(place.startswith("text_encoder_2.") for place in layers)
    tensors: dict[str, Tensor] = {}
    for place, (down, up, alpha) in layers.items():
        part, _, name = place.partition(".")
        inner = "" if part == "unet" or name == "text_projection" else "text_model."
        prefix = "lora_te1" if is_xl and part == "text_encoder" else KOHYA[part]
        key = f"{prefix}_{(inner + name).replace('.', '_')}"
        tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
        tensors[f"{key}.alpha"] = torch.tensor(alpha)
    return tensors


def kohya_original(layers: Layers, config: FrozenDict) -> dict[str, Tensor]:
    """Write as kohya's trainer does for SDXL: the U-Net's layers by their original names."""
    tensors = kohya({place: layer for place, layer in layers.items() if not place.startswith("unet.")})
    for place, (down, up, alpha) in layers.items():
        if not place.startswith("unet."):
            continue
        name = original_unet_name(place.removeprefix("unet.") + ".weight", config).removesuffix(".weight")
        key = f"lora_unet_{name.replace('.', '_')}"
        tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
        tensors[f"{key}.alpha"] = torch.tensor(alpha)
    return tensors


def peft(layers: Layers) -> dict[str, Tensor]:
    """Write as diffusers does today; there alpha is the rank, so it goes into `up`."""
    tensors: dict[str, Tensor] = {}
    for place, (down, up, alpha) in layers.items():
        part, _, name = place.partition(".")
        key = place if part == "unet" else f"{part}.text_model.{name}"
        tensors |= {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": alpha / len(down) * up}
    return tensors


def old_diffusers(layers: Layers) -> dict[str, Tensor]:
    """Write as diffusers' first versions did: attention under its processor."""
    tensors: dict[str, Tensor] = {}
    for place, (down, up, alpha) in layers.items():
        part, _, name = place.partition(".")
        before, _, last = name.rpartition(".")
        if part == "unet" and ".attn" in name:
            before, last = (before.removesuffix(".to_out"), "to_out") if last == "0" else (before, last)
            key = f"unet.{before}.processor.{last}_lora"
        elif "self_attn" in name:
            key = f"{part}.text_model.{before}.{TEXT_NAMES[last]}_lora"
        elif part == "unet":
            key = f"{place}.lora"
        else:
            key = f"{part}.text_model.{name}.lora_linear_layer"
        tensors |= {f"{key}.down.weight": down, f"{key}.up.weight": alpha / len(down) * up}
    return tensors


WRITERS: dict[str, Callable[[Layers], dict[str, Tensor]]] = {
    "kohya": kohya,
    "peft": peft,
    "old_diffusers": old_diffusers,
}


def write_lora(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata)
    return path
