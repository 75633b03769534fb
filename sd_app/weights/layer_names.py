"""The layers of loaded networks, by all the names that add-ons' files have for them."""

import re
from collections.abc import Iterator, Mapping

from diffusers import UNet2DConditionModel
from torch import nn

from ..addons.lora_names import TEXT_1, TEXT_2, UNET, Layer

TEXT_MODEL = "text_model."  # some of transformers' classes keep the encoder under this name, some do not
# diffusers' older names of an attention's four matrices: those of its processor.
_ATTENTION = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}
# Inside a residual block, and outside of all blocks: diffusers' names, and the original ones.
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


def find_layers(components: Mapping[str, object]) -> dict[Layer, tuple[str, nn.Module]]:
    """Return what an add-on can change, its place as people read it and the module, by every name in use."""
    found: dict[Layer, tuple[str, nn.Module]] = {}
    for part in (UNET, TEXT_1, TEXT_2):
        network = components.get(part)
        if not isinstance(network, nn.Module):
            continue
        for name, module in network.named_modules():
            if isinstance(getattr(module, "weight", None), nn.Parameter):
                plain = name.removeprefix(TEXT_MODEL)
                for other in (plain, *_other_names(network, plain)):
                    layer = Layer(part, other.replace(".", "_"))
                    found.setdefault(layer, (f"{part}.{plain}", module))
    return found


def _other_names(network: nn.Module, name: str) -> Iterator[str]:
    """Yield what else a layer is called."""
    if name.endswith(".to_out.0"):
        yield name.removesuffix(".0")
    if isinstance(network, UNet2DConditionModel):
        if original := original_name(network, name):
            yield original
        return
    before, _, last = name.rpartition(".")
    if last in _ATTENTION:
        yield f"{before}.{_ATTENTION[last]}"


def original_name(unet: UNet2DConditionModel, name: str) -> str | None:
    """Return a layer's name in the original U-Net: blocks counted one after the other, without levels."""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    if match := _MIDDLE.fullmatch(name):
        kind, index, rest = match[1], int(match[2]), match[3]
        place = 1 if kind == "attentions" else 2 * index
        return f"middle_block.{place}.{_inside(kind, rest)}"
    if not (match := _BLOCK.fullmatch(name)):
        return None
    side, level, kind, index, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    blocks = unet.down_blocks if side == "down" else unet.up_blocks
    # Each level has its residual blocks; on the way down a downsampler is a block of its own.
    before = sum(len(block.resnets) + (side == "down") for block in blocks[:level])
    has_attention = bool(getattr(blocks[level], "attentions", None))
    if kind == "downsamplers":
        return f"input_blocks.{before + len(blocks[level].resnets) + 1}.0.op"
    if kind == "upsamplers":
        last = before + len(blocks[level].resnets) - 1
        return f"output_blocks.{last}.{2 if has_attention else 1}.conv"
    number = before + index + (side == "down")
    where = f"{'input' if side == 'down' else 'output'}_blocks.{number}.{int(kind == 'attentions')}"
    return f"{where}.{_inside(kind, rest)}"


def _inside(kind: str, rest: str) -> str:
    return _RESNET.get(rest, rest) if kind == "resnets" else rest
