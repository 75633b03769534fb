"""What a LoRA's header tells: kind, family, rank, the words that wake it, what is not read. No torch."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..checkpoints import TEXT_WIDTHS, TITLES, Header, Stamp, read_header, stamp
from ..user_files import JsonObject, readable
from .lora_layers import BIAS, DIFF, columns_of, kind_of, rank_of
from .lora_names import TEXT_1, TEXT_2, UNET, Layer, LoraNames, sort_names

CROSS_DIMS = {**TEXT_WIDTHS, 2048: "sdxl"}  # columns of the U-Net's attention to the text
MAX_TRIGGERS = 8
MAX_LEFT_OUT = 3  # names in a sentence
SD1_TEXT = ("lora_te_", "lora_te.")  # kohya's trainer calls SDXL's two encoders te1 and te2
WHOLE = ("BOOL", "I8", "U8", "I16", "I32", "I64")
_CROSS = re.compile(r"attn2_to_[kv]$")
_DEEP = re.compile(r"transformer_blocks_[1-9]")  # SDXL alone has more than one of them in a block

# What else a file can be, by parts of its tensors' names.
_OTHERS = (
    (("lora_controlnet",), "a Control-LoRA, which guides a model and is not a LoRA for its weights"),
    (("lllite_",), "a ControlNet-LLLite, which guides a model and is not a LoRA"),
    (("ip_adapter.", "image_proj."), "an IP-Adapter, which guides a model and is not a LoRA"),
    (("control_model.", "controlnet_cond_embedding"), "a ControlNet, which guides a model and is not a LoRA"),
    (("oft_blocks", "oft_diag", ".oft_R", "boft_"), "an OFT, which is not supported (LoRA, LoHa, LoKr are)"),
    (("motion_modules.",), "a motion module of AnimateDiff, and this app makes no videos"),
    (("temporal_transformer", "temporal_attentions"), "one for a video model, and this app makes no videos"),
    (("prior_",), "a LoRA for Stable Cascade"),
    (
        ("double_blocks", "single_blocks", "single_transformer_blocks", "transformer_single_blocks"),
        "a LoRA for Flux",
    ),
    (
        (
            "joint_blocks",
            "transformer.transformer_blocks",
            "joint_transformer",
            "lora_transformer_transformer",
        ),
        "a LoRA for Stable Diffusion 3",
    ),
    (("lora_te3_", "text_encoder_3.", "t5xxl"), "a LoRA for Stable Diffusion 3"),
    (
        ("model.diffusion_model.input_blocks", "first_stage_model."),
        "a whole model (put it into the models folder)",
    ),
    (("emb_params", "string_to_param", "clip_l", "clip_g"), "a learned word (put it into embeddings/)"),
)
_HYPERNETWORK = re.compile(r"^\d+\.\d+\.linear", re.MULTILINE)
_TRANSFORMER = re.compile(r"(?:^|[._])(?:transformer_)?(?:blocks|layers)[._]\d", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class LoraFacts:
    """A LoRA file as its header describes it."""

    kind: str = "LoRA"  # or LoHa, LoKr, DoRA, ...
    family: str  # "sd1", "sd2", "sdxl"; "" if nothing says
    rank: int  # the largest one; 0 where the kind has none
    size_bytes: int
    trigger_words: tuple[str, ...]
    words: tuple[str, ...] = ()  # names of the learned words inside
    left_out: tuple[str, ...] = ()  # tensors that are not used with any model
    total: int = 0  # tensors in the file

    @property
    def remark(self) -> str:
        """Say which tensors are not used, empty if all are."""
        return tell_left_out(self.left_out, self.total)


@dataclass(frozen=True, kw_only=True)
class PeftSettings:
    """What a file's metadata says of the layers of a part whose alpha is no tensor."""

    alpha: float | None
    patterns: Mapping[str, float]  # by the ends of layers' names
    by_root: bool  # alpha is divided by the root of the rank


def inspect_lora(path: Path) -> LoraFacts:
    """Describe a LoRA file. Remembered until it changes.

    Raise ValueError saying what is wrong with it, OSError if it cannot be read.
    """
    facts = _inspect(path, stamp(path))
    if isinstance(facts, str):
        raise ValueError(facts)
    return facts


@lru_cache(maxsize=4096)
def _inspect(path: Path, _file: Stamp) -> LoraFacts | str:
    try:
        return describe(read_header(path))
    except ValueError as error:
        return str(error)


def describe(header: Header) -> LoraFacts:
    """Describe a LoRA by its header. Raise ValueError for another kind of file."""
    names = sort_names(header.shapes)
    refuse_others(names)
    layers, left_out = usable_layers(header, names)
    peft_settings(header.metadata)
    shapes = {
        layer: {role: header.shapes[name] for role, name in roles.items()} for layer, roles in layers.items()
    }
    kinds = Counter(kind_of(one) for one in shapes.values())
    kind = next((kind for kind, _ in kinds.most_common() if kind not in (DIFF, BIAS)), DIFF)
    if any("dora" in roles for roles in layers.values()):
        kind = "DoRA" if kind == "LoRA" else f"{kind} with DoRA"
    return LoraFacts(
        kind="full difference" if kind == DIFF else kind,
        family=_family(shapes, is_sd1_text=header.has(*SD1_TEXT)),
        rank=max((rank_of(one) or 0 for one in shapes.values()), default=0),
        size_bytes=header.size_bytes(""),
        trigger_words=_trigger_words(header.metadata),
        words=names.words,
        left_out=tuple(left_out),
        total=len(header.shapes),
    )


def refuse_others(names: LoraNames) -> None:
    """Raise ValueError for a file that is something else than a LoRA for Stable Diffusion 1, 2 or XL.

    A few tensors of other networks do not make it one of theirs; more than there are for the U-Net do.
    """
    ours = sum(len(roles) for layer, roles in names.layers.items() if layer.part == UNET)
    ours = ours or sum(map(len, names.layers.values()))
    if len(names.others) + len(names.strangers) <= ours and names.layers:
        return
    unknown = "\n".join([*names.others, *names.strangers])
    for parts, words in _OTHERS:
        if any(part in unknown for part in parts):
            raise ValueError(f"it is {words}")
    if _HYPERNETWORK.search(unknown):
        raise ValueError("it is a hypernetwork, which is not supported (LoRA, LoHa, LoKr are)")
    if names.others and _TRANSFORMER.search(unknown):
        raise ValueError("it is a LoRA for a transformer model, such as Wan, Hunyuan, LTX and PixArt")
    if names.layers or names.words:
        return
    if names.others:
        first = readable(names.others[0])[:200]
        raise ValueError(f"none of its layers is one of Stable Diffusion's, for example {first}")
    raise ValueError("its tensors are not those of a LoRA")


def peft_settings(metadata: Mapping[str, str]) -> dict[str, PeftSettings]:
    """Return by part what newer versions of diffusers write into a file's metadata.

    Raise ValueError for what cannot be read: how strong the LoRA is would be a guess.
    """
    try:
        said = json.loads(metadata.get("lora_adapter_metadata", "{}"))
        return {part: _settings_of(part, said) for part in (UNET, TEXT_1, TEXT_2)}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("what its lora_adapter_metadata says of its alpha cannot be read") from error


def _settings_of(part: str, said: JsonObject) -> PeftSettings:
    alpha, patterns = said.get(f"{part}.lora_alpha"), said.get(f"{part}.alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise TypeError("alpha_pattern must be an object")
    return PeftSettings(
        alpha=None if alpha is None else float(alpha),  # type: ignore[arg-type]  # any other is a TypeError
        patterns={key: float(value) for key, value in patterns.items()},
        by_root=bool(said.get(f"{part}.use_rslora")),
    )


def usable_layers(header: Header, names: LoraNames) -> tuple[dict[Layer, dict[str, str]], list[str]]:
    """Return the layers whose tensors go together, and the names of all tensors that are left out.

    Raise ValueError if there is none, saying what is wrong with the first.
    """
    left_out = [*names.others, *names.strangers]
    layers: dict[Layer, dict[str, str]] = {}
    reasons: list[str] = []
    for layer, roles in names.layers.items():
        try:
            kind_of({role: header.shapes[name] for role, name in roles.items()})
            for role, name in roles.items():
                # kohya's trainer may write an alpha without a point
                if not (role in ("alpha", "on_input") and header.dtypes[name] in WHOLE):
                    header.check_floats(name)
            layers[layer] = roles
        except ValueError as error:
            reasons.append(f"of {layer} {error}")
            left_out += roles.values()
    if not layers and not names.words:
        raise ValueError(reasons[0] if reasons else "its tensors are not those of a LoRA")
    return layers, left_out


def check_family(file_name: str, facts: LoraFacts, family: str) -> None:
    """Refuse a LoRA that was made for another family than a model's."""
    if facts.family and facts.family != family:
        raise ValueError(
            f"prompt must ask for LoRAs of the model's family, and {file_name} is one for"
            f" {TITLES[facts.family]} (the model is {TITLES[family]}; choose another model or LoRA)"
        )


def tell_left_out(names: Sequence[str], total: int) -> str:
    """Say in one sentence which tensors of a file are not used, empty if all are."""
    if not names:
        return ""
    shown = ", ".join(readable(name)[:120] for name in names[:MAX_LEFT_OUT])
    more = f" and {len(names) - MAX_LEFT_OUT} more" if len(names) > MAX_LEFT_OUT else ""
    are = "is" if len(names) == 1 else "are"
    return f"{len(names)} of its {total} tensors {are} not used: {shown}{more}"


def _family(shapes: dict[Layer, dict[str, tuple[int, ...]]], *, is_sd1_text: bool) -> str:
    widths = {columns_of(one) for layer, one in shapes.items() if _CROSS.search(layer.name)}
    if known := {CROSS_DIMS[width] for width in widths if width in CROSS_DIMS}:
        return known.pop() if len(known) == 1 else ""
    if any(layer.part == TEXT_2 or _DEEP.search(layer.name) for layer in shapes):
        return "sdxl"
    text = {
        columns_of(one)
        for layer, one in shapes.items()
        if "self_attn" in layer.name and not layer.name.endswith("out_proj")
    }
    known = {TEXT_WIDTHS[width] for width in text if width in TEXT_WIDTHS}
    # SDXL's first text encoder is Stable Diffusion 1's, and only some names tell which is meant.
    is_clear = is_sd1_text or any(layer.part == UNET for layer in shapes) or known == {"sd2"}
    return known.pop() if len(known) == 1 and is_clear else ""


def _trigger_words(metadata: dict[str, str]) -> tuple[str, ...]:
    """Return what a trainer wrote: the phrase itself, else the captions' most frequent tags."""
    if phrase := metadata.get("modelspec.trigger_phrase", "").strip():
        return (phrase[:200],)
    counts: Counter[str] = Counter()
    try:
        for tags in json.loads(metadata.get("ss_tag_frequency", "{}")).values():
            counts.update({readable(tag).strip()[:80]: int(number) for tag, number in tags.items()})
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return ()
    return tuple(tag for tag, _ in counts.most_common(MAX_TRIGGERS) if tag)
