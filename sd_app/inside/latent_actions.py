"""What can be done on the page in the panels of the latents: look at a step, move a cell, poke one."""

import numpy as np
from PIL import Image
from torch import Tensor

from ..pictures.placement import Box
from ..probes.recording import CONDITIONAL, Recording
from ..requests import LookAnswer
from .actions import Action, Given, choice, number, whole
from .film import NOISY
from .latents import Moved, channel_ranges, move_cell, reduction_of, shown_latents
from .look import Look
from .poke import Poked, busiest_cell, poke
from .sheets import heat

FARTHEST = 100.0  # that a number may be moved to: latents have a spread of about 1
STRONGEST = 20.0  # spreads of a poke
ROWS = (CONDITIONAL, NOISY)
DIFFERENCE_BRIGHT = 64.0  # of 255: what is bright in the picture of a difference


def look_at_step(look: Look, given: Given) -> LookAnswer:
    """Return the channels of a frame with their ranges, and how far the colours reach."""
    recording = look.recording
    latents = _latents(recording, given).float()
    return LookAnswer(
        numbers={
            "channels": latents.numpy(),
            "ranges": [vars(each) for each in channel_ranges(latents)],
            "limit": float(recording.final.float().abs().max()),
            "reduction": reduction_of(recording).sentence,
            "cell": busiest_cell(recording.final),
        }
    )


def _latents(recording: Recording, given: Given) -> Tensor:
    row = choice(given, "row", ROWS)
    return shown_latents(recording, whole(given, "frame", 0, recording.num_calls), row)


def move(look: Look, given: Given) -> LookAnswer:
    """Set one number of a frame's latents to another value and decode."""
    latents = _latents(look.recording, given)
    channels, rows, columns = latents.shape
    row, column = _cell(given, rows, columns)
    channel = whole(given, "channel", 0, channels - 1)
    value = number(given, "value", -FARTHEST, FARTHEST)
    [moved] = move_cell(look, latents, row=row, column=column, values=[(channel, value)])
    return moved_answer(moved)


def _cell(given: Given, rows: int, columns: int) -> tuple[int, int]:
    return whole(given, "at_row", 0, rows - 1), whole(given, "at_column", 0, columns - 1)


def moved_answer(moved: Moved) -> LookAnswer:
    """Return a move's pictures, and its boxes as shares of the picture."""
    size = moved.picture_after.size
    return LookAnswer(
        numbers={
            "said": moved.sentence,
            "cell": _shares(moved.cell, size),
            "clear": _shares(moved.clear_box, size),
            "clear_box": moved.clear_box,
            "largest": int(moved.difference.max()),
            "bright": DIFFERENCE_BRIGHT,
        },
        pictures={
            "before": moved.picture_before,
            "after": moved.picture_after,
            "difference": heat(moved.difference.astype(np.float32), DIFFERENCE_BRIGHT, size),
        },
    )


def _shares(box: Box | None, size: tuple[int, int]) -> list[float] | None:
    """Return a box as shares of the picture's sides: left, top, width, height."""
    if box is None:
        return None
    left, top, right, bottom = box
    width, height = size
    return [left / width, top / height, (right - left) / width, (bottom - top) / height]


def begin_poke(look: Look, given: Given) -> LookAnswer:
    """Return the cell that is poked unless another one is chosen."""
    return LookAnswer(numbers={"cell": busiest_cell(look.recording.final)})


def do_poke(look: Look, given: Given) -> LookAnswer:
    """Poke a cell in all channels before a step, and continue the run from there."""
    recording = look.recording
    row, column = _cell(given, *recording.final.shape[-2:])
    step = whole(given, "step", 1, recording.num_steps)
    amount = number(given, "amount", -STRONGEST, STRONGEST)
    call = (step - 1) * recording.facts.order
    return poked_answer(poke(look, call=call, row=row, column=column, amount=amount))


def poked_answer(poked: Poked) -> LookAnswer:
    """Return a poke's curve by step from the poke on, and what became of the picture."""
    order = poked.recorded.facts.order
    last = len(poked.distances) - 1
    calls = [*range(poked.call, last, order), last]
    return LookAnswer(
        numbers={
            "said": poked.sentence,
            "verdict": poked.verdict,
            "step": poked.call // order + 1,
            "steps": [call // order + 1 for call in calls[:-1]] + [poked.recorded.num_steps + 1],
            "distances": [float(poked.distances[call]) for call in calls],
            "ignored": [float(poked.unnoticed[call]) for call in calls],
            "cells": poked.lengths[-1],
            "limit": float(poked.lengths.max()),
        },
        pictures={
            "picture": _rgb(poked.recording.decoded),
            "difference": heat(poked.difference.astype(np.float32), 255.0, poked.recording.decoded.size),
        },
    )


def _rgb(image: Image.Image) -> Image.Image:
    return image.convert("RGB")


LATENT_ACTIONS = (
    Action(name="step", answer=look_at_step, runs=False),
    Action(name="move", answer=move),
)
POKE_ACTIONS = (
    Action(name="begin", answer=begin_poke, runs=False),
    Action(name="poke", answer=do_poke),
)
