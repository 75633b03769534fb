"""What the tensors of a LoRA's file are called: the layer each one changes, and its role in that.

Every trainer has names of its own for the same few things. A layer's name is brought to one form, its dots
turned into underscores, so that `lora_unet_mid_block_...`, `unet.mid_block. ...` and `base_model.model.mid_
block. ...` are one. No torch.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

UNET, TEXT_1, TEXT_2 = "unet", "text_encoder", "text_encoder_2"
BUNDLED = "bundle_emb."  # OneTrainer's and kohya's learned words inside a LoRA's file


class Layer(NamedTuple):
    """A layer of one part: `unet`, `text_encoder` or `text_encoder_2`; its name has underscores for dots."""

    part: str
    name: str

    def __str__(self) -> str:
        return f"{self.part}.{self.name}"


# The longest first: the beginnings by which trainers and programs name a part.
_PREFIXES = (
    ("text_encoders.clip_l.transformer.", TEXT_1),
    ("text_encoders.clip_g.transformer.", TEXT_2),
    ("model.diffusion_model.", UNET),
    ("text_encoders.clip_l.", TEXT_1),
    ("text_encoders.clip_g.", TEXT_2),
    ("diffusion_model.", UNET),
    ("text_encoder_2.", TEXT_2),
    ("text_encoder.", TEXT_1),
    ("lycoris_unet_", UNET),
    ("lora_unet_", UNET),
    ("lora_unet.", UNET),
    ("lycoris_te1_", TEXT_1),
    ("lycoris_te2_", TEXT_2),
    ("lycoris_te_", TEXT_1),
    ("lora_te1_", TEXT_1),
    ("lora_te1.", TEXT_1),
    ("lora_te2_", TEXT_2),
    ("lora_te2.", TEXT_2),
    ("lora_te_", TEXT_1),
    ("lora_te.", TEXT_1),
    ("lycoris_", ""),
    ("clip_l.", TEXT_1),
    ("clip_g.", TEXT_2),
    ("unet.", UNET),
)
_WRAPPERS = ("base_model.model.", "base_model_model_", "transformer.text_model.")
_IN_UNET = re.compile(
    r"(?:down_blocks|up_blocks|mid_block|input_blocks|middle_block|output_blocks)_(?!.*(?:temporal|motion_mod))"
    r"|conv_(?:in|out|norm_out)$|(?:time|add)_embedding_|time_embed_|label_emb_|out_[02]$"
)
_IN_TEXT = re.compile(r"encoder_layers_|embeddings_|final_layer_norm$|text_projection$")

# One of a layer's tensors: `LAYER.lora_down.weight`, `LAYER.lora.up.weight`, `LAYER_lora.down.weight`,
# `LAYER.lora_linear_layer.up.weight`, `LAYER.lora_A.default.weight`, ...
_FACTOR = re.compile(
    r"(.+?)[._]lora(?:_linear_layer)?[._](down|up|mid|A|B)(?:\.\w+)?\.(weight|bias)", re.DOTALL
)
_ALPHA = re.compile(
    r"(.+?)(?:[._]lora(?:_linear_layer)?(?:[._](?:down|up|A|B)(?:\.weight)?)?)?\.alpha", re.DOTALL
)
_MAGNITUDE = re.compile(r"(.+?)[._](?:lora_magnitude_vector(?:\.\w+)??(?:\.weight)?|dora_scale)", re.DOTALL)
_OTHER = re.compile(
    r"(.+?)\.(scalar|diff|diff_b|w_norm|b_norm|on_input|weight"
    r"|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2)|[ab][12]\.weight|bm\.weight|[ab][12])",
    re.DOTALL,
)
_SIDES = {
    ("down", "weight"): "down",
    ("A", "weight"): "down",
    ("up", "weight"): "up",
    ("B", "weight"): "up",
    ("mid", "weight"): "mid",
    ("up", "bias"): "up_bias",
    ("B", "bias"): "up_bias",
}
_SAME = {"w_norm": "diff", "b_norm": "diff_b"}  # differences of a norm's weight and bias are such as well


@dataclass(kw_only=True)
class LoraNames:
    """A file's tensors, sorted."""

    layers: dict[Layer, dict[str, str]] = field(default_factory=dict)  # layer -> role -> tensor's name
    words: tuple[str, ...] = ()  # names of the learned words it brings
    others: list[str] = field(default_factory=list)  # layers of other networks
    strangers: list[str] = field(default_factory=list)  # what is none of that


def sort_names(names: Iterable[str]) -> LoraNames:
    """Sort a file's tensors by the layers they change and their roles there."""
    found = LoraNames()
    words: dict[str, None] = {}
    for name in names:
        if name.startswith(BUNDLED):
            words[name.removeprefix(BUNDLED).partition(".")[0]] = None
            continue
        layer_text, role = _split(name)
        layer = read_layer(layer_text) if role else None
        if layer is None:
            (found.others if role and role != "weight" else found.strangers).append(name)
        elif role in (roles := found.layers.setdefault(layer, {})):
            found.strangers.append(name)
        else:
            roles[role] = name
    # A bare `weight` is IA3's only beside its flag; else it is a tensor of some checkpoint.
    for layer, roles in list(found.layers.items()):
        if "weight" in roles and "on_input" not in roles:
            found.strangers.append(roles.pop("weight"))
        if not roles:
            del found.layers[layer]
    found.words = tuple(words)
    return found


def read_layer(text: str) -> Layer | None:
    """Return the layer that a name means, None if Stable Diffusion's networks have no layer so called."""
    part, rest = "", text
    changed = True
    while changed:
        changed = False
        for wrapper in _WRAPPERS:
            if rest.startswith(wrapper):
                rest, changed = rest.removeprefix(wrapper), True
        for prefix, known in _PREFIXES:
            if rest.startswith(prefix) and not (part and known and part != known):
                part, rest, changed = known or part, rest.removeprefix(prefix), True
                break
    name = rest.replace(".", "_").replace("_processor_", "_")
    plain = name.removeprefix("text_model_")
    if part in ("", UNET) and _IN_UNET.match(name):
        return Layer(UNET, name)
    if part != UNET and _IN_TEXT.match(plain):
        return Layer(part or TEXT_1, plain)
    return None


def _split(name: str) -> tuple[str, str]:
    """Return the layer's name and the tensor's role in it; "" for a tensor of no role."""
    if match := _FACTOR.fullmatch(name):
        return match[1], _SIDES.get((match[2], match[3]), "")
    if match := _ALPHA.fullmatch(name):
        return match[1], "alpha"
    if match := _MAGNITUDE.fullmatch(name):
        return match[1], "dora"
    if match := _OTHER.fullmatch(name):
        role = match[2].removesuffix(".weight") if match[2] != "weight" else "weight"
        return match[1], _SAME.get(role, role)
    return name, ""
