"""What the app knows of a model before loading it: what files imply, and what its owner says instead."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

LatentRgb = tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]

# Latents as the U-Net sees them -> RGB in 0..1, by the VAE's scaling factor: one VAE, one factor.
# Stable Diffusion 1 and 2: fitted by Kevin Turner, discuss.huggingface.co/t/23204, for -1..1; halved here.
# SDXL: Timothy Alexis Vass, huggingface.co/blog/TimothyAlexisVass/explaining-the-sdxl-latent-space,
# for 0..255; divided here.
_SD1 = ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473))
_SDXL = ((60.0, 60.0, 60.0), (-60.0, -5.0, 10.0), (25.0, 15.0, -5.0), (-70.0, -50.0, -35.0))
LATENT_RGB: dict[float, LatentRgb] = {
    0.18215: (tuple(tuple(x / 2 for x in row) for row in _SD1), (0.5, 0.5, 0.5)),
    0.13025: (tuple(tuple(x / 255 for x in row) for row in _SDXL), (150 / 255, 140 / 255, 130 / 255)),
}


# What strangers' JSON raises where it holds other things than it should: all of it means "cannot be used".
ODD_VALUES = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError)
# What an owner may say of a model, and what each must be.
FIELDS = {
    "title": "a text",
    "native_size": "a number of pixels",
    "default_steps": "a whole number",
    "default_guidance_scale": "a number",
    "default_scheduler": "a sampler's name",
    "example_prompts": "a list of texts",
    "note": "a text",
    "draws": "a text",
    "known_words": "a list of words",
    "latent_rgb": "an object with 4 rows of 3 factors and a bias of 3",
}


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """One model that can be asked for by name, and the defaults of a request that leaves fields out."""

    name: str  # the folder's name, the file's without ".safetensors", or a hub id "owner/name"
    title: str
    kind: str  # "folder", "hub" or "file"
    path: Path | None  # None: on the hub and not downloaded yet
    family: str  # "sd1", "sd2" or "sdxl"
    native_size: int  # pixels of a side it was trained on
    default_steps: int = 25
    default_guidance_scale: float = 7.5
    default_scheduler: str = "DPM++ 2M Karras"
    size_bytes: int = 0  # of the weights on disk
    example_prompts: tuple[str, ...] = ()
    note: str = ""
    draws: str = ""  # a sentence: what it can draw, where that is little
    known_words: tuple[
        str, ...
    ] = ()  # all that it saw in training; none: not known, or more than can be listed
    # Linear map to RGB in 0..1 from latents as the U-Net sees them (times the VAE's scaling factor):
    # a row of (r, g, b) for each of the four channels, then the bias. None: no preview.
    latent_rgb: LatentRgb | None = None
    only_inpaints: bool = False  # a checkpoint whose U-Net needs a mask


def apply_overrides(
    info: ModelInfo, overrides: Mapping[str, object], *, scaling_factor: object = None, where: str
) -> ModelInfo:
    """Return what is implied of a model with what its owner says instead, in studio.json or NAME.json.

    Without a latent_rgb there the VAE's scaling factor chooses one. A value that cannot be is left out and
    said in the model's note. Raise one of ODD_VALUES for a scaling factor that cannot be.
    """
    sound, notes = {}, []
    for name in FIELDS:
        if name in overrides:
            try:
                _overridden(info, {name: overrides[name]}, scaling_factor)
            except ODD_VALUES:
                notes.append(f"The {name} in {where} is not read: it must be {FIELDS[name]}.")
            else:
                sound[name] = overrides[name]
    told = _overridden(info, sound, scaling_factor)
    return replace(told, note=" ".join(filter(None, (told.note, *notes))))


def _overridden(info: ModelInfo, overrides: Mapping[str, object], scaling_factor: object) -> ModelInfo:

    def number(name: str, implied: float) -> float | str:
        return _number(overrides.get(name, implied))

    return replace(
        info,
        title=str(overrides.get("title", info.title)),
        native_size=int(number("native_size", info.native_size)),
        default_steps=int(number("default_steps", info.default_steps)),
        default_guidance_scale=float(number("default_guidance_scale", info.default_guidance_scale)),
        default_scheduler=str(overrides.get("default_scheduler", info.default_scheduler)),
        example_prompts=tuple(
            str(prompt) for prompt in _items(overrides.get("example_prompts", info.example_prompts))
        ),
        note=" ".join(filter(None, (str(overrides.get("note", "")), info.note))),
        draws=_text(overrides.get("draws", info.draws)),
        known_words=_texts(overrides.get("known_words", info.known_words)),
        latent_rgb=_latent_rgb(overrides.get("latent_rgb"), scaling_factor),
    )


def _latent_rgb(given: object, scaling_factor: object) -> LatentRgb | None:
    if not given:
        if isinstance(scaling_factor, list | dict):
            raise TypeError(f"scaling_factor {scaling_factor!r} must be a number")
        return LATENT_RGB.get(scaling_factor) if isinstance(scaling_factor, int | float) else None
    if not isinstance(given, dict):
        raise TypeError("latent_rgb must be an object of factors and bias")
    factors = tuple(tuple(float(_number(x)) for x in _items(row)) for row in _items(given["factors"]))
    bias = tuple(float(_number(x)) for x in _items(given["bias"]))
    if [len(row) for row in factors] != [3] * 4 or len(bias) != 3:
        raise ValueError("latent_rgb of studio.json must have 4 rows of 3 factors and a bias of 3")
    return factors, bias


def _number(value: object) -> float | str:
    """Return what int and float can read: a number, or one in quotes."""
    if not isinstance(value, int | float | str):
        raise TypeError(f"{value!r} must be a number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} must be a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} must be a list")
    return tuple(map(_text, value))


def _items(value: object) -> Iterable[object]:
    if not isinstance(value, Iterable):
        raise TypeError(f"{value!r} must be a list")
    return value
