"""diffusers' own pipelines over the parts that the app has loaded: the yardstick for bytes."""

from typing import Any

from diffusers import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)

from sd_app.weights.pipeline import Pipeline
from sd_app.weights.scheduling import make_scheduler

CLASSES = {
    "txt2img": (StableDiffusionPipeline, StableDiffusionXLPipeline),
    "img2img": (StableDiffusionImg2ImgPipeline, StableDiffusionXLImg2ImgPipeline),
    "inpaint": (StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline),
}


def bare_pipeline(
    pipe: Pipeline, kind: str = "txt2img", *, scheduler: str = "", always_guided: bool = False
) -> Any:
    """Return diffusers' pipeline of a kind with the networks of a lent one, and a scheduler of its own.

    diffusers leaves guidance out for scales up to 1; with `always_guided` 0..1 mean what the formula says.
    """
    pipeline_class = CLASSES[kind][pipe.is_xl]
    if always_guided:
        pipeline_class = type("Guided", (pipeline_class,), {"do_classifier_free_guidance": True})
    unwanted = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    options = {"add_watermarker": False} if pipe.is_xl else unwanted
    bare = pipeline_class(**pipe.components, **options)
    bare.set_progress_bar_config(disable=True)
    if scheduler:
        bare.scheduler = make_scheduler(scheduler, bare.scheduler.config)
    return bare
