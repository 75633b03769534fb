"""What the app knows of a model before loading it: what files imply, and what its owner says instead."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    # Linear map to RGB in 0..1 from latents as the U-Net sees them (times the VAE's scaling factor):
    # a row of (r, g, b) for each of the four channels, then the bias. None: no preview.
    latent_rgb: LatentRgb | None = None
    only_inpaints: bool = False  # a checkpoint whose U-Net needs a mask


def describe_model(
    known: dict[str, Any], owner: dict[str, Any], *, native_size: int, scaling_factor: Any, note: str = ""
) -> ModelInfo:
    """Describe a model by what is known of it and what its owner says in studio.json or NAME.json.

    Raise TypeError, KeyError or ValueError for an owner's value that cannot be.
    """
    example_prompts = owner.get("example_prompts", ())
    return ModelInfo(
        **known,
        title=str(owner.get("title", known["name"])),
        native_size=int(owner.get("native_size", native_size)),
        default_steps=int(owner.get("default_steps", 25)),
        default_guidance_scale=float(owner.get("default_guidance_scale", 7.5)),
        default_scheduler=str(owner.get("default_scheduler", "DPM++ 2M Karras")),
        example_prompts=tuple(str(prompt) for prompt in example_prompts),
        note=" ".join(filter(None, (str(owner.get("note", "")), note))),
        latent_rgb=_latent_rgb(owner.get("latent_rgb"), scaling_factor),
    )


def _latent_rgb(given: Any, scaling_factor: Any) -> LatentRgb | None:
    if not given:
        return LATENT_RGB.get(scaling_factor)
    factors = tuple(tuple(float(x) for x in row) for row in given["factors"])
    bias = tuple(float(x) for x in given["bias"])
    if [len(row) for row in factors] != [3] * 4 or len(bias) != 3:
        raise ValueError("latent_rgb of studio.json must have 4 rows of 3 factors and a bias of 3")
    return factors, bias
