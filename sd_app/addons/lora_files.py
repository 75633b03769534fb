"""What a LoRA's header tells: the family it was made for, its rank, the words that wake it. No torch."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path

from ..checkpoints import TEXT_WIDTHS, TITLES, Header, Stamp, read_header, stamp
from ..user_files import readable

CROSS_DIMS = {**TEXT_WIDTHS, 2048: "sdxl"}  # columns of the U-Net's attention to the text
MAX_TRIGGERS = 8
WHOLE = ("I8", "U8", "I16", "I32", "I64")
# The smaller factor, `down` or `A`, of one layer, by any of the names in use.
DOWN = re.compile(r"[._]lora(?:_linear_layer)?[._](?:down|A)(?:\.\w+)?\.weight$")
CROSS = re.compile(r"attn2.*to_[kv]\b|attn2.*to_[kv]_lora")
XL_PARTS = ("lora_te1_", "lora_te2_", "text_encoder_2.")

# What else a file can be, by parts of its tensors' names.
_OTHERS = (
    (("hada_w1",), "a LoHa, which is not supported (only LoRA is)"),
    (("lokr_w1", "lokr_w2"), "a LoKr, which is not supported (only LoRA is)"),
    (("dora_scale", "lora_magnitude_vector"), "a DoRA, which is not supported (only LoRA is)"),
    (("lora_mid",), "a LoCon in Tucker's form, which is not supported (only plain LoCon is)"),
    (("oft_blocks", "oft_diag", ".oft_R"), "an OFT, which is not supported (only LoRA is)"),
    (("on_input",), "an IA3, which is not supported (only LoRA is)"),
    (("double_blocks", "single_blocks", "single_transformer_blocks"), "a LoRA for Flux"),
    (
        ("joint_blocks", "transformer.transformer_blocks", "joint_transformer"),
        "a LoRA for Stable Diffusion 3",
    ),
)


@dataclass(frozen=True, kw_only=True)
class LoraFacts:
    """A LoRA file as its header describes it."""

    family: str  # "sd1", "sd2", "sdxl"; "" if nothing says
    rank: int  # the largest one
    size_bytes: int
    trigger_words: tuple[str, ...]


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
    for parts, words in _OTHERS:
        if header.holds(*parts):
            raise ValueError(f"it is {words}")
    downs = {name: shape for name, shape in header.shapes.items() if DOWN.search(name) and shape}
    if not downs:
        raise ValueError("its tensors are those of no LoRA")
    _check_factors(header)
    return LoraFacts(
        family=_family(downs),
        rank=max(shape[0] for shape in downs.values()),
        size_bytes=header.size_bytes(""),
        trigger_words=_trigger_words(header.metadata),
    )


def check_family(file_name: str, facts: LoraFacts, family: str) -> None:
    """Refuse a LoRA that was made for another family than a model's."""
    if facts.family and facts.family != family:
        raise ValueError(
            f"prompt must ask for LoRAs of the model's family, and {file_name} is one for"
            f" {TITLES[facts.family]} (the model is {TITLES[family]}; choose another model or LoRA)"
        )


def _check_factors(header: Header) -> None:
    for name, shape in header.shapes.items():
        is_alpha = name.endswith(".alpha")
        if prod(shape) != 1 if is_alpha else len(shape) < 2 or not all(shape):
            kind = "an alpha is one number" if is_alpha else "no factor of a layer has that"
            raise ValueError(f"its {name[:200]} has the shape {shape[:8]}, and {kind}")
        if not (
            is_alpha and header.dtypes[name] in WHOLE
        ):  # so kohya's trainer writes an alpha without a point
            header.check_floats(name)


def _family(downs: dict[str, tuple[int, ...]]) -> str:
    widths = {shape[1] for name, shape in downs.items() if CROSS.search(name) and len(shape) > 1}
    if known := {CROSS_DIMS[width] for width in widths if width in CROSS_DIMS}:
        return known.pop() if len(known) == 1 else ""
    if any(name.startswith(XL_PARTS) for name in downs):
        return "sdxl"
    text = {shape[1] for name, shape in downs.items() if "self_attn" in name and len(shape) > 1}
    known = {TEXT_WIDTHS[width] for width in text if width in TEXT_WIDTHS}
    return known.pop() if len(known) == 1 else ""


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
