"""The plan is a function of bytes: told what is free, it must choose what was worked out by hand."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from sd_app.weights.memory_plan import FRUGAL, SHARE, Demand, Plan, choose_plan

GB = 10**9
# About Stable Diffusion 1.5 in float16: U-Net, text encoder, VAE; what 512x512 takes.
KNOWN: dict[str, Any] = {
    "weights": (1.7 * GB, 0.25 * GB, 0.17 * GB),
    "demand": Demand(denoise=520, decode=1536),
    "width": 512,
    "height": 512,
    "num_images": 4,
}
DENOISE, DECODE = 520 * 512**2, 1536 * 512**2  # 0.136 GB and 0.403 GB a picture
WEIGHTS = sum(KNOWN["weights"])


def plan(needed: float, **changes: Any) -> Plan:
    """Plan with exactly as much free memory as `needed` bytes ask for."""
    return choose_plan(free_bytes=int(needed / SHARE) + 1, **{**KNOWN, **changes})


def test_all_at_once_where_it_fits_and_not_a_byte_before():
    enough = WEIGHTS + 4 * DECODE
    assert plan(enough) == Plan(batch_size=4)
    assert plan(enough - 3) == Plan(batch_size=4, decodes_singly=True)
    assert not plan(enough).tight


def test_then_fewer_pictures_go_together():
    assert plan(WEIGHTS + 4 * DENOISE).batch_size == 4
    assert plan(WEIGHTS + 4 * DENOISE - 3) == Plan(batch_size=3, decodes_singly=True, splits=True, tight=True)


def test_then_parts_visit_the_device_one_by_one():
    """Rather than tiles, which change the picture."""
    short = WEIGHTS + DECODE - 3
    assert plan(short) == Plan(batch_size=4, decodes_singly=False, offloads=True, tight=True)
    assert plan(1.7 * GB + DENOISE).offloads


def test_where_nothing_can_be_moved_out_the_vae_works_in_tiles():
    short = WEIGHTS + DECODE * 4 - 3
    large = plan(short, width=1024, height=1024, num_images=1, can_offload=False)
    assert large == Plan(batch_size=1, tiles=True, tight=True)


def test_tiles_help_no_picture_of_one_tile():
    assert plan(WEIGHTS + DENOISE, can_offload=False, num_images=1).slices  # the last resort


@pytest.mark.parametrize("can_offload", [True, False])
def test_lowvram_saves_from_the_start_and_is_short_only_when_that_is_not_enough(can_offload):
    held = max(KNOWN["weights"]) if can_offload else WEIGHTS
    saving = Plan(batch_size=4, decodes_singly=True, offloads=can_offload, tiles=True, slices=True)
    enough = held + max(4 * DENOISE, DECODE)
    assert plan(enough, lowvram=True, can_offload=can_offload) == saving
    assert plan(100 * GB, lowvram=True, can_offload=can_offload) == saving
    short = plan(enough - 3, lowvram=True, can_offload=can_offload)
    assert short == replace(saving, batch_size=3, splits=True, tight=True)
    assert plan(held, lowvram=True, can_offload=can_offload) == replace(FRUGAL, offloads=can_offload)


def test_what_fits_nowhere_is_tried_as_frugally_as_can_be():
    assert plan(0.5 * GB) == FRUGAL
    assert not plan(0.5 * GB, can_offload=False).offloads


def test_tiles_above_a_size_are_no_sign_of_shortness():
    enough = 100 * GB
    assert plan(enough, tile_above=512 * 512) == Plan(batch_size=4)
    assert plan(enough, tile_above=512 * 512 - 1) == Plan(batch_size=4, tiles=True)


@pytest.mark.parametrize("can_offload", [True, False])
def test_more_memory_never_makes_a_plan_slower(can_offload):
    def cost(chosen: Plan) -> tuple[bool | int, ...]:
        return chosen.slices, chosen.tiles, chosen.offloads, -chosen.batch_size, chosen.decodes_singly

    costs = [cost(plan(step * GB / 20, can_offload=can_offload)) for step in range(1, 120)]
    assert all(later[:3] <= earlier[:3] for earlier, later in pairwise(costs))
    assert costs[-1] == (False, False, False, -4, False)


def test_what_is_recorded_needs_no_more_memory_for_denoising():
    enough = WEIGHTS + DECODE
    assert plan(enough).splits
    assert plan(enough, is_recorded=True) == Plan(batch_size=4, decodes_singly=True)
    assert plan(WEIGHTS, is_recorded=True).offloads  # the VAE still needs its own
    assert plan(WEIGHTS - 3, is_recorded=True).offloads  # and so do the weights
    assert plan(enough, is_recorded=True, lowvram=True) == plan(enough, lowvram=True)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (Plan(batch_size=1), "all on the device"),
        (Plan(batch_size=2, splits=True), "all on the device, 2 at a time"),
        (FRUGAL, "model parts visit the GPU one by one, the VAE works in tiles"),
    ],
)
def test_a_plan_says_itself_in_words(chosen, words):
    assert chosen.words == words
