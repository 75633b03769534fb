"""`<lora:name:0.8>` in a prompt: found, checked, and taken out before the words are read.

As in AUTOMATIC1111 the first number is the text encoders' scale, and the U-Net's too unless a second one
follows; `te=` and `unet=` name them. `<lyco:name>`, from the time when some kinds of LoRA had a tag of their
own, is the same. `<hypernet:name>` is taken out too, and does nothing: remarks.py says so.
"""

import re
from dataclasses import dataclass
from math import isfinite

MAX_SCALE = 10.0
MAX_TAGS = 32
TAG = re.compile(r"<(lora|lyco|hypernet):([^<>]*)>", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class LoraTag:
    """A LoRA as a prompt asks for it: its name, and how much of it goes into U-Net and text encoders."""

    name: str
    unet_scale: float = 1.0
    text_scale: float = 1.0


def find_tags(prompt: str) -> tuple[LoraTag, ...]:
    """Return the LoRAs a prompt asks for, by name; of one asked for twice the scales are added.

    Raise ValueError for a tag that cannot be read, or a sum beyond what one tag may ask for.
    """
    found: dict[str, LoraTag] = {}
    for match in TAG.finditer(prompt):
        if not is_lora(match):
            continue
        tag = _read_tag(match[0], match[2])
        if before := found.get(tag.name):
            tag = add_tags(before, tag)
        found[tag.name] = tag
    for tag in found.values():
        check_scales(tag)
    if len(found) > MAX_TAGS:
        raise ValueError(f"prompt must ask for at most {MAX_TAGS} LoRAs, got {len(found)} (leave some out)")
    return tuple(found[name] for name in sorted(found))


def is_lora(tag: re.Match[str]) -> bool:
    """Tell whether a match of TAG asks for a LoRA; the other kind does nothing."""
    return tag[1].lower() != "hypernet"


def add_tags(first: LoraTag, second: LoraTag) -> LoraTag:
    """Return what two tags of one LoRA ask for together, by the name in the first."""
    return LoraTag(
        name=first.name,
        unet_scale=first.unet_scale + second.unet_scale,
        text_scale=first.text_scale + second.text_scale,
    )


def check_scales(tag: LoraTag) -> None:
    """Refuse a sum of scales beyond what one tag may ask for."""
    for scale in (tag.text_scale, tag.unet_scale):
        if abs(scale) > MAX_SCALE:
            raise ValueError(
                f"prompt must scale a LoRA by {-MAX_SCALE:g} to {MAX_SCALE:g} in all, got {scale:g} for"
                f" {tag.name[:80]} (lower a scale or leave a tag out)"
            )


def remove_tags(prompt: str) -> str:
    """Return a prompt without its tags: the words that are read."""
    return TAG.sub("", prompt) if "<" in prompt else prompt


def refuse_tags(name: str, prompt: str) -> None:
    """Raise ValueError if a negative prompt holds a tag: weights are the same for both prompts."""
    if match := next(filter(is_lora, TAG.finditer(prompt)), None):
        raise ValueError(
            f"{name} must not hold a LoRA, got {match[0][:80]} (put it into the prompt; a scale below 0 turns"
            " it around)"
        )


def _read_tag(whole: str, inside: str) -> LoraTag:
    name, *rest = (part.strip() for part in inside.split(":"))
    if not name:
        raise ValueError(
            f"prompt must name the LoRA of a tag, got {whole[:80]} (for instance <lora:name:0.8>)"
        )
    given: dict[str, float] = {}
    order = iter(("te", "unet"))
    for part in rest:
        key, equals, number = part.rpartition("=")
        place = key if equals else next(order, "")
        if place not in ("te", "unet"):
            raise ValueError(
                f"prompt must have at most two numbers, or te= and unet=, in a LoRA's tag, got {whole[:80]}"
                " (for instance <lora:name:0.8>)"
            )
        given[place] = _read_scale(whole, number)
    text_scale = given.get("te", 1.0)
    return LoraTag(name=name, text_scale=text_scale, unet_scale=given.get("unet", text_scale))


def _read_scale(whole: str, text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = float("nan")
    if not isfinite(scale) or abs(scale) > MAX_SCALE:
        raise ValueError(
            f"prompt must scale a LoRA by a number from -{MAX_SCALE:g} to {MAX_SCALE:g}, got {whole[:80]}"
            " (usual is 0.4 to 1)"
        )
    return scale
