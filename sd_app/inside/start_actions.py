"""What can be done on the page in the panels of pictures that began from another one."""

from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image

from ..pictures.drift import draw_heat, heat_scale
from ..requests import Img2ImgRequest, LookAnswer
from .actions import Action, Given, number, whole
from .from_picture import StartAt, low_pass, starts_at
from .kept_latents import Blends, KeptPixels, blends_of, kept_pixels, over_pixels
from .look import Look
from .vae_loss import placed_start

GREY = 128  # what is not there on a map

_blends: WeakKeyDictionary[Look, Blends] = WeakKeyDictionary()


def known_blends(look: Look) -> Blends:
    """Return what passed at each step of an inpainting; gone through once for each look."""
    if look not in _blends:
        _blends[look] = blends_of(look)
    return _blends[look]


def begin_start(look: Look, given: Given) -> LookAnswer:
    """Return the given and the encoded picture, and the starts at three strengths and its own."""
    request, original = look.request, look.recording.original
    assert isinstance(request, Img2ImgRequest)
    assert original is not None
    start = placed_start(look)
    assert start is not None
    encoded, low = look.decode(torch.stack([original, low_pass(original)]))
    starts, said = starts_at(look)
    return LookAnswer(
        numbers={"starts": [_numbers(each) for each in starts], "own": request.strength, "said": said},
        pictures={"given": start, "encoded": encoded, "low": low} | _pictures(look, starts),
    )


def at_strength(look: Look, given: Given) -> LookAnswer:
    """Return the start at any strength."""
    starts, said = starts_at(look, [number(given, "strength", 0, 1)])
    return LookAnswer(
        numbers={"starts": [_numbers(each) for each in starts], "said": said},
        pictures=_pictures(look, starts),
    )


def _numbers(start: StartAt) -> dict[str, object]:
    return {
        "strength": start.strength,
        "steps": start.steps,
        "timestep": start.timestep,
        "signal": start.signal,
        "likeness": start.likeness,
        "said": start.sentence,
    }


def _pictures(look: Look, starts: list[StartAt]) -> dict[str, Image.Image]:
    """Decode each start and its low-pass, as x_t:STRENGTH and low:STRENGTH."""
    if not starts:
        return {}
    both = [latents for each in starts for latents in (each.unscaled, each.low)]
    images = iter(look.decode(torch.stack(both)))
    return {f"{what}:{each.strength:g}": next(images) for each in starts for what in ("x_t", "low")}


# -- what an inpainting keeps


def begin_putback(look: Look, given: Given) -> LookAnswer:
    """Return how far the kept cells strayed, and what the decoder did to their pixels."""
    kept = kept_pixels(look)
    reads_masks = look.recording.facts.reads_masks
    strayed = [] if reads_masks else [float(value) for value in known_blends(look).strayed]
    return LookAnswer(
        numbers={
            "said": kept.sentences,
            "strayed": strayed,
            "reads_masks": reads_masks,
            "belts": [vars(belt) | {"most": belt.most} for belt in kept.belts],
            "means": [kept.mean(change) for change in (kept.total, kept.by_vae, kept.spill)],
            "scale": heat_scale(),
        },
        pictures={"original": kept.original, "frame": kept.frame} | drift_maps(kept),
    )


def drift_maps(kept: KeptPixels) -> dict[str, Image.Image]:
    """Draw what differs outside the mask: in all, by the VAE alone, and the frame less that."""
    return {
        "total": draw_heat(kept.original, kept.frame, kept.painted),
        "vae": draw_heat(kept.original, kept.through_vae, kept.painted),
        "spill": draw_heat(kept.through_vae, kept.frame, kept.painted),
    }


def blend(look: Look, given: Given) -> LookAnswer:
    """Return the blend of a call: what the sampler made, what is put back, both joined."""
    call = whole(given, "call", 0, look.recording.num_calls - 1)
    blends = known_blends(look)
    repainted = blends.joined[call]
    return LookAnswer(
        numbers={
            "call": call,
            "kept_cells": int((~repainted).sum()),
            "cells": repainted.numel(),
            "strayed": float(blends.strayed[call]),
        },
        pictures=blend_pictures(look, blends, call),
    )


def blend_pictures(look: Look, blends: Blends, call: int) -> dict[str, Image.Image]:
    """Decode what a call left: what the sampler made, what is put back, and both joined.

    Of what is put back only the kept cells are there; the others are grey.
    """
    stepped, mixed = (blends.unscaled(each[call], call) for each in (blends.stepped, blends.mixed))
    made, joined = look.decode(torch.stack([stepped, mixed]))
    repainted = over_pixels(blends.joined[call], made.height // blends.joined.shape[-2])
    kept = np.where(repainted[..., None], GREY, np.asarray(joined.convert("RGB"))).astype(np.uint8)
    return {"made": made, "put_back": Image.fromarray(kept), "joined": joined}


START_ACTIONS = (
    Action(name="begin", answer=begin_start),
    Action(name="strength", answer=at_strength),
)
PUTBACK_ACTIONS = (
    Action(name="begin", answer=begin_putback),
    Action(name="blend", answer=blend),
)
