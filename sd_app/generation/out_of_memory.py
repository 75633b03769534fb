"""When memory is short: fewer pictures at a time and frugally; when it runs out: once more."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from PIL import Image

from ..failures import is_out_of_memory
from ..weights.device_memory import OUT_OF_MEMORY
from ..weights.memory_plan import TILE_SIDE, Plan
from ..weights.model_manager import ModelManager
from ..weights.pipeline import Pipeline
from .job import Job

AGAIN = "Out of memory: trying again with less memory"

Images = list[Image.Image]
Run = Callable[[int, int], Images]  # first picture, number of pictures


def run_batch(
    manager: ModelManager, pipe: Pipeline, job: Job, run: Run, first: int, count: int
) -> Iterator[Images]:
    """Denoise and decode pictures first..first+count-1, as many together as the job's plan says; yield them.

    When memory runs out, free what is not needed and try once more, one picture at a time in the frugal
    setting, in which the job then goes on. Raise MemoryError saying what to lower if that fails too.
    """
    end = first + count
    while first < end:
        together = min(job.plan.batch_size, end - first)
        try:
            with sparing(pipe, job.plan):
                images = run(first, together)
        except OUT_OF_MEMORY as error:
            if not is_out_of_memory(error):
                raise
            if job.plan.last:
                size = f"{job.request.width}x{job.request.height}"
                raise MemoryError(
                    f"{size} does not fit into the memory of {manager.device}"
                    " (lower width or height, or close other programs)"
                ) from error
        else:
            yield images
            first += together
            continue
        # Only here are the failed run's tensors free: they lived as long as the exception.
        job.plan = manager.turn_frugal()
        job.tell(AGAIN)


@contextmanager
def sparing(pipe: Pipeline, plan: Plan) -> Iterator[None]:
    """Have a pipeline work as a plan says; a plan that spares nothing changes nothing."""
    vae, processors = pipe.vae, dict(pipe.unet.attn_processors)
    tile_sides = vae.tile_sample_min_size, vae.tile_latent_min_size
    if plan.tiles:
        # Smaller tiles would save little and show more: each tile is normalised by itself.
        vae.tile_sample_min_size, vae.tile_latent_min_size = TILE_SIDE, TILE_SIDE // 8
        vae.enable_tiling()
    if plan.decodes_singly:
        vae.enable_slicing()
    if plan.slices and pipe.device.type != "cuda":
        pipe.unet.set_attention_slice("max")
    try:
        with pipe.fast_unet.bypass() if plan.slices or plan.offloads else nullcontext():
            yield
    finally:
        vae.disable_tiling()
        vae.disable_slicing()
        vae.tile_sample_min_size, vae.tile_latent_min_size = tile_sides
        if plan.slices:
            pipe.unet.set_attn_processor(processors)
