"""From the names that original repositories, open_clip and older programs give tensors to diffusers' own.

Each function takes what was found under a part's prefix and returns it by diffusers' names; what has one of
these already keeps it, so a file may mix both. Of two tensors for one name the first counts.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import count, product

from .stored import Sources

_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_UNET = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "time_embed.cond_proj": "time_embedding.cond_proj",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_VAE = (
    (r"^encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets."),
    (r"^encoder\.down\.(\d+)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.", ".mid_block.attentions.0."),
    (r"attentions\.0\.norm\.", "attentions.0.group_norm."),
    (r"attentions\.0\.(?:q|query)\.", "attentions.0.to_q."),
    (r"attentions\.0\.(?:k|key)\.", "attentions.0.to_k."),
    (r"attentions\.0\.(?:v|value)\.", "attentions.0.to_v."),
    (r"attentions\.0\.(?:proj_out|proj_attn|to_out)\.(?=\w+$)", "attentions.0.to_out.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"^(encoder|decoder)\.norm_out\.", r"\1.conv_norm_out."),
)
_OPEN_CLIP = (
    (r"^transformer\.resblocks\.", "encoder.layers."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"^ln_final\.", "final_layer_norm."),
    (r"^token_embedding\.", "embeddings.token_embedding."),
    (r"^positional_embedding$", "embeddings.position_embedding.weight"),
)
_FUSED = re.compile(r"(.*)\.attn\.in_proj_(weight|bias)")
_BLOCKS = 16  # numbers of input_blocks that averaged weights are looked for under
_DEPTH = 12


def name_unet(found: Sources) -> Sources:
    """Return a U-Net's tensors by diffusers' names; what has no place there keeps its own."""
    places = {**_UNET, **_places(found)}
    out: Sources = {}
    for name, source in found.items():
        out.setdefault(_unet_name(name, places), source)
    return out


def _unet_name(name: str, places: dict[str, str]) -> str:
    parts = name.split(".")
    for length in (3, 2):
        place = places.get(".".join(parts[:length]))
        if place is None or len(parts) == length:
            continue
        rest = ".".join(parts[length:])
        if ".resnets." in place:
            layer, _, kind = rest.rpartition(".")
            rest = f"{_RESNET.get(layer, layer)}.{kind}"
        return f"{place}.{rest}" if not place.endswith("conv") else f"{place}.{parts[-1]}"
    return name


def _places(found: Sources) -> dict[str, str]:
    """Number the blocks anew: the original counts them from first to last, diffusers within each level."""
    modules = {".".join(name.split(".")[:4]) for name in found if name.startswith(("input_b", "output_b"))}
    modules |= {module.rpartition(".")[0] for module in modules}
    places: dict[str, str] = {}
    level = layer = 0
    for number in count(1):
        block = f"input_blocks.{number}"
        if f"{block}.0.op" in modules:
            places[f"{block}.0"] = f"down_blocks.{level}.downsamplers.0.conv"
            level, layer = level + 1, 0
        elif f"{block}.0" in modules:
            places[f"{block}.0"] = f"down_blocks.{level}.resnets.{layer}"
            places[f"{block}.1"] = f"down_blocks.{level}.attentions.{layer}"
            layer += 1
        else:
            break
    level = layer = 0
    for number in count():
        block = f"output_blocks.{number}"
        if f"{block}.0" not in modules:
            break
        places[f"{block}.0"] = f"up_blocks.{level}.resnets.{layer}"
        places[f"{block}.1"] = f"up_blocks.{level}.attentions.{layer}"
        layer += 1
        for slot in (1, 2):
            if f"{block}.{slot}.conv" in modules:
                places[f"{block}.{slot}"] = f"up_blocks.{level}.upsamplers.0.conv"
                level, layer = level + 1, 0
                break
    places |= {
        "middle_block.0": "mid_block.resnets.0",
        "middle_block.1": "mid_block.attentions.0",
        "middle_block.2": "mid_block.resnets.1",
    }
    return places


def name_vae(found: Sources) -> Sources:
    """Return a VAE's tensors by diffusers' names; the original counts the decoder's levels from the end."""
    levels = {int(match[1]) for name in found if (match := re.match(r"decoder\.up\.(\d{1,3})\.", name))}
    last = max(levels, default=0)
    out: Sources = {}
    for name, source in found.items():
        new = re.sub(r"^decoder\.up\.(\d{1,3})\.", lambda m: f"decoder.up_blocks.{last - int(m[1])}.", name)
        new = re.sub(r"^(decoder\.up_blocks\.\d+)\.block\.", r"\1.resnets.", new)
        new = re.sub(r"^(decoder\.up_blocks\.\d+)\.upsample\.", r"\1.upsamplers.0.", new)
        out.setdefault(_renamed(new, _VAE), source)
    return out


def name_text_encoder(found: Sources) -> Sources:
    """Return a text encoder's tensors by transformers' names without "text_model."."""
    out: Sources = {}
    for name, source in found.items():
        if match := _FUSED.fullmatch(name):
            layer = _renamed(f"{match[1]}.", _OPEN_CLIP)
            for third, letter in enumerate("qkv"):
                out.setdefault(f"{layer}self_attn.{letter}_proj.{match[2]}", source.of_third(third))
        elif name in ("text_projection", "text_model.text_projection"):
            out.setdefault("text_projection.weight", source.turned())  # open_clip multiplies from the right
        else:
            out.setdefault(_renamed(name.removeprefix("text_model."), _OPEN_CLIP), source)
    return out


def _renamed(name: str, table: Iterable[tuple[str, str]]) -> str:
    for old, new in table:
        name = re.sub(old, new, name)
    return name


def with_dots(name: str) -> str | None:
    """Return the name of a U-Net's tensor whose averaged copy was named without the dots; None if unknown."""
    return _dotless().get(name)


@lru_cache(maxsize=1)
def _dotless() -> dict[str, str]:
    """Return the original names of a U-Net's tensors by what is left of them without dots.

    The averages that trainers keep are named so (Rombach et al. 2022, LitEma).
    """
    transformer = [
        *("norm1", "norm2", "norm3", "ff.net.0.proj", "ff.net.2"),
        *(f"attn{one}.{matrix}" for one, matrix in product((1, 2), ("to_q", "to_k", "to_v", "to_out.0"))),
    ]
    attention = ["norm", "proj_in", "proj_out"]
    attention += [f"transformer_blocks.{i}.{one}" for i, one in product(range(_DEPTH), transformer)]
    modules = [*_UNET]
    for side, number, slot in product(("input", "output"), range(_BLOCKS), range(3)):
        place = f"{side}_blocks.{number}.{slot}"
        modules += [f"{place}.{one}" for one in (*_RESNET, *attention, "op", "conv")]
    for slot in range(3):
        modules += [f"middle_block.{slot}.{one}" for one in (*_RESNET, *attention)]
    names = [f"{module}.{kind}" for module, kind in product(modules, ("weight", "bias"))]
    return {name.replace(".", ""): name for name in names}
