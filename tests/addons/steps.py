"""What the tests of add-ons share: a small job, its picture, and the weights it runs with."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypedDict, Unpack

import torch

from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.addons import choose_additions
from sd_app.catalog import find_model
from sd_app.weights.pipeline import Pipeline
from tests.addons.lora_writers import (
    Layers,
    lora_layers,
)

PROMPT = "a drawing of a cat"


class Known(TypedDict, total=False):
    """What every job here asks beside its prompt."""

    seed: int
    num_inference_steps: int
    width: int
    height: int
    guidance_scale: float


class Fields(Known, total=False):
    """What one may ask besides."""

    negative_prompt: str
    scheduler: str
    model: str
    vae: str | None


KNOWN: Known = {"seed": 3, "num_inference_steps": 3, "width": 64, "height": 64, "guidance_scale": 5.0}


def draw(studio: Studio, prompt: str, **more: Unpack[Fields]) -> bytes:
    """Return a job's picture, as bytes."""
    fields: Fields = {**KNOWN, **more}
    return studio.txt2img(Txt2ImgRequest(prompt=prompt, **fields), save=False).images[0].tobytes()


def make_studio(models_dir: Path, outputs_dir: Path) -> Studio:
    return Studio(Settings(models_dir=models_dir, model="model-a", outputs_dir=outputs_dir, batch_size=2))


def lend(studio: Studio, prompt: str = PROMPT, model: str | None = None) -> AbstractContextManager[Pipeline]:
    """Lend a model's pipeline with what its prompt asks for."""
    info = find_model(studio.settings, model)
    additions = choose_additions(studio.settings, info, prompt)
    return studio._ready_manager().pipeline(info.name, "DDIM", additions=additions)


def weights(studio: Studio, prompt: str) -> dict[str, torch.Tensor]:
    """Return copies of all weights as a prompt's job has them."""
    with lend(studio, prompt) as pipe:
        return {
            f"{part}.{name}": weight.clone()
            for part in ("unet", "text_encoder", "text_encoder_2")
            if part in pipe.components
            for name, weight in pipe.components[part].state_dict().items()
        }


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def layers_of(studio: Studio, seed: int, *, only: str = "") -> Layers:
    """Draw a LoRA's factors for the studio's own model."""
    with lend(studio, PROMPT) as pipe:
        return lora_layers(pipe.components, seed, only=only)
