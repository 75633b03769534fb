"""Which models there are, and what each one likes. Reads names and small JSON files only; no torch."""

from dataclasses import dataclass
from pathlib import Path

from .settings import Settings


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """One model that can be asked for by name, and the defaults of a request that leaves fields out."""

    name: str  # the folder's name, or a hub id "owner/name"
    title: str
    kind: str  # "folder", "hub" or "file"
    path: Path | None  # None: on the hub
    family: str  # "sd1", "sd2", "sdxl"
    native_size: int  # pixels of a side it was trained on
    default_steps: int = 25
    default_guidance_scale: float = 7.5
    default_scheduler: str = "DPM++ 2M Karras"
    size_bytes: int = 0  # of the weights on disk
    example_prompts: tuple[str, ...] = ()
    note: str = ""
    # Linear map from latents to RGB in 0..1: a row of (r, g, b) for each latent channel, then the bias.
    latent_rgb: tuple[tuple[tuple[float, ...], ...], tuple[float, ...]] | None = None


def list_models(settings: Settings) -> list[ModelInfo]:
    """List the usable models, the default one first."""
    return []


def find_model(settings: Settings, name: str | None) -> ModelInfo:
    """Return the model of that name (None: the default one); raise ValueError listing what there is."""
    raise ValueError(f"model must be one of {[m.name for m in list_models(settings)]}, got {name!r}")
