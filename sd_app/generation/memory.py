"""When memory runs out: once more, one picture at a time and frugally."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from PIL import Image

from ..model_manager import OUT_OF_MEMORY, ModelManager, is_out_of_memory
from ..speed import bypass
from .job import Job

TILE_PIXELS = 512  # side of the tiles in which the frugal setting decodes

Images = list[Image.Image]
Run = Callable[[int, int], Images]  # first picture, number of pictures


def run_batch(
    manager: ModelManager, pipe: Any, job: Job, run: Run, first: int, count: int
) -> Iterator[Images]:
    """Denoise and decode pictures first..first+count-1 together; yield them.

    When memory runs out, free what is not needed and try once more, one picture at a time in the frugal
    setting. Raise MemoryError saying what to lower if that fails too.
    """
    try:
        with frugal(pipe) if manager.settings.lowvram else nullcontext():
            images = run(first, count)
    except OUT_OF_MEMORY as error:
        if not is_out_of_memory(error):
            raise
    else:
        yield images
        return
    # Only here are the failed run's tensors free: they lived as long as the exception.
    manager.free_memory(keep=job.info.name)
    for index in range(first, first + count):
        try:
            with frugal(pipe):
                images = run(index, 1)
        except OUT_OF_MEMORY as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryError(
                f"{job.request.width}x{job.request.height} does not fit into the memory of {manager.device}"
                " (lower width or height, close other programs, or start with --lowvram)"
            ) from error
        yield images


@contextmanager
def frugal(pipe: Any) -> Iterator[None]:
    """Trade time for memory: decode in tiles and, where attention is not memory-efficient, slice it."""
    vae, processors = pipe.vae, dict(pipe.unet.attn_processors)
    tile_sides = vae.tile_sample_min_size, vae.tile_latent_min_size
    # Smaller tiles would save little and show more: each tile is normalised by itself.
    vae.tile_sample_min_size, vae.tile_latent_min_size = TILE_PIXELS, TILE_PIXELS // 8
    vae.enable_tiling()
    vae.enable_slicing()
    if pipe._execution_device.type != "cuda":
        pipe.unet.set_attention_slice("max")
    try:
        with bypass(pipe):
            yield
    finally:
        vae.disable_tiling()
        vae.disable_slicing()
        vae.tile_sample_min_size, vae.tile_latent_min_size = tile_sides
        pipe.unet.set_attn_processor(processors)
