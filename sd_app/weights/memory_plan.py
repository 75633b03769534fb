"""How a job fits into the memory that is free: a pure function of bytes, picture size and number."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

TILE_SIDE = 512  # pixels of the tiles in which the VAE works when it must not work on the whole
SHARE = 0.85  # of the free memory is planned with; kernels' workspaces and fragments take the rest

# Measured on SD 1.5 and SDXL, 256 to 1024 pixels: the most numbers that live at once beside the weights.
VAE_TENSORS = 3  # full-size pictures of the channels that the decoder's last level begins with
VAE_TENSORS_ON_CARDS = 5  # there convolutions also copy what they read and write into another order of memory
UNET_TENSORS = 26  # latents of the channels of the U-Net's first level
GUIDED = 2  # passes of the U-Net side by side: with the prompt and with the negative one


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What running a model takes beside its weights: bytes for each pixel of each picture."""

    denoise: float
    decode: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a job is run. What is frugal costs time; tiles also change the picture a little."""

    batch_size: int  # pictures denoised together
    decodes_singly: bool = False  # one picture at a time goes through the VAE
    offloads: bool = False  # parts wait in main memory and visit the device one by one
    tiles: bool = False  # the VAE works in tiles of TILE_SIDE
    slices: bool = False  # attention is worked out piece by piece where it is not memory-efficient
    splits: bool = False  # fewer pictures are denoised together than were to be
    tight: bool = False  # shortness of memory, not a wish, made it cost time
    last: bool = False  # all that is not needed was dropped for it: no other try is left

    @property
    def words(self) -> str:
        """Return the plan for people."""
        where = "model parts visit the GPU one by one" if self.offloads else "all on the device"
        pictures = [f"{self.batch_size} at a time"] if self.splits else []
        return ", ".join([where, *pictures, *(["the VAE works in tiles"] if self.tiles else [])])


# The last resort, and the second try after memory ran out.
FRUGAL = Plan(batch_size=1, decodes_singly=True, offloads=True, tiles=True, slices=True, tight=True)


def choose_plan(
    *,
    free_bytes: int,
    weights: Sequence[int],
    demand: Demand,
    width: int,
    height: int,
    num_images: int,
    is_recorded: bool = False,
    can_offload: bool = True,
    tile_above: int | None = None,
    lowvram: bool = False,
) -> Plan:
    """Choose the quickest way to make num_images of a size that fits free_bytes, which the weights share.

    `weights` are the bytes of each part. Tried in this order: everything at once; one picture at a time
    through the VAE; fewer pictures together; parts one by one on the device, where that is another memory;
    the VAE in tiles, which alone changes the picture. Above tile_above pixels it works in tiles anyway, and
    with `lowvram` all these savings are there from the start. `is_recorded`: the U-Net's calls for all of
    them are replayed from a CUDA graph, whose memory is no part of what is free. Where nothing fits, return
    FRUGAL: the estimate may be wrong, and a failure is told in words.
    """
    free = SHARE * free_bytes
    pixels = width * height
    always_tiles = lowvram or (tile_above is not None and pixels > tile_above)
    placings = (can_offload,) if lowvram else (False, True) if can_offload else (False,)

    def denoised_together(offloads: bool) -> int:
        held = max(weights) if offloads else sum(weights)
        if is_recorded and not offloads and held <= free:
            return num_images
        return min(num_images, int((free - held) / (demand.denoise * pixels)))

    def decodes(count: int, *, offloads: bool, tiles: bool) -> bool:
        # The VAE is the smallest part, so that with offloading nearly all is left to it.
        held = min(weights) if offloads else sum(weights)
        at_once = min(pixels, TILE_SIDE**2) if tiles else pixels
        return held + count * demand.decode * at_once <= free

    for tiles in [True] if always_tiles else [False, True]:
        for offloads in placings:
            together = denoised_together(offloads)
            if together < 1:
                continue
            for singly in (True,) if lowvram else (False, True):
                if decodes(1 if singly else together, offloads=offloads, tiles=tiles):
                    return Plan(
                        batch_size=together,
                        decodes_singly=singly,
                        offloads=offloads,
                        tiles=tiles,
                        slices=lowvram,
                        splits=together < num_images,
                        tight=together < num_images or (offloads and not lowvram) or tiles != always_tiles,
                    )
    return replace(FRUGAL, offloads=can_offload)
