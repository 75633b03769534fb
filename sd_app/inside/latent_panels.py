"""The panels of the latents: what they are, what one cell does, and a cell poked on the way."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..pictures.charts import heat_map
from ..probes.recording import CONDITIONAL, Recording
from .film import first_frames, label_of
from .latent_actions import LATENT_ACTIONS, POKE_ACTIONS
from .latents import Moved, channel_ranges, move_cell, reduction_of, shown_latents, with_boxes
from .look import Look
from .panel import MEASURED, Panel, PanelFiles
from .poke import Poked, busiest_cell, early_to_late, poke
from .sheets import heat, sheet, shown, tile_size

MOVE = 3.0  # spreads of a channel by which a cell is moved, and a cell poked


def make_latents(look: Look) -> PanelFiles:
    """Make the channels at the end and on the way, and the busiest cell moved in each channel."""
    recording = look.recording
    final = recording.final.float()
    row, column = busiest_cell(final)
    values = [
        (each.channel, float(final[each.channel, row, column]) + MOVE * each.spread)
        for each in channel_ranges(final)
    ]
    moved = move_cell(look, recording.final, row=row, column=column, values=values)
    frames = first_frames(recording)
    on_the_way = [(frame, shown_latents(recording, frame)) for frame in frames]
    return PanelFiles(
        pictures={
            "channels": channels_sheet(recording, final),
            "steps": steps_sheet(recording, on_the_way),
            "moved": moved_sheet(recording, moved),
        },
        arrays={
            "finished": final.numpy(),
            "x0": torch.stack([latents.float() for _, latents in on_the_way]).numpy(),
            "moved_difference": np.stack([each.difference for each in moved]),
        },
        tables={"ranges": ranges_table(recording), "moved": moved_table(moved)},
        said=[reduction_of(recording).sentence, *(each.sentence for each in moved)],
    )


def drawn_channel(channel: Tensor, limit: float, size: tuple[int, int]) -> Image.Image:
    """Draw an (h, w) channel as cells, blue below 0 and red above, with the full colour at +-limit."""
    return heat_map(channel.float().numpy(), limit=limit).resize(size, Image.Resampling.NEAREST)


def limit_of(latents: Tensor) -> float:
    """Return the size of number that has the full colour, one for all channels of (..., h, w)."""
    return float(latents.float().abs().max())


def channels_sheet(recording: Recording, latents: Tensor) -> Image.Image:
    """Draw the picture and its channels, with their ranges."""
    size = tile_size(recording.decoded)
    tiles = [("the picture", shown(recording.decoded, size))]
    for each in channel_ranges(latents):
        label = (
            f"channel {each.channel + 1}: {each.least:.2f} to {each.largest:.2f}, mean {each.mean:.2f},"
            f" spread {each.spread:.2f}"
        )
        tiles.append((label, drawn_channel(latents[each.channel], limit_of(latents), size)))
    title = f"The latents of the finished picture: blue below 0, red above, full at ±{limit_of(latents):.1f}"
    return sheet(tiles, title=title, columns=len(tiles))


def steps_sheet(recording: Recording, frames: Sequence[tuple[int, Tensor]]) -> Image.Image:
    """Draw the channels of what the words ask for at some frames, a channel a row."""
    size = tile_size(recording.decoded)
    size = size[0] // 2, size[1] // 2
    limit = limit_of(recording.final)
    tiles = [
        (
            f"ch. {number + 1}, {label_of(recording, frame)}",
            drawn_channel(latents[number], limit, size),
        )
        for number in range(len(recording.final))
        for frame, latents in frames
    ]
    title = f"The latents that the words ask for at each step, full colour at ±{limit:.1f}"
    return sheet(tiles, title=title, columns=len(frames))


def moved_sheet(recording: Recording, moved: Sequence[Moved]) -> Image.Image:
    """Draw what a cell does when it is moved in each channel, with the boxes that were measured."""
    size = tile_size(recording.decoded)
    tiles = []
    for each in moved:
        tiles.append(
            (
                f"channel {each.channel + 1}: {each.before:.2f} → {each.after:.2f}; yellow: the cell, white:"
                " changed clearly",
                with_boxes(each, size),
            )
        )
        tiles.append(
            (
                f"the difference, at most {int(each.difference.max())} of 255 (bright: 64)",
                heat(each.difference.astype(np.float32), 64.0, size),
            )
        )
    title = f"One cell moved by {MOVE:g} spreads of its channel, through the decoder"
    return sheet(tiles, title=title, columns=4)


def ranges_table(recording: Recording) -> list[list[object]]:
    """Return a row for each channel of x_t and of x0 from the words at each call, and at the end."""
    head: list[object] = ["call", "what", "channel", "least", "largest", "mean", "spread"]
    rows: list[list[object]] = []
    for call in range(recording.num_calls):
        for what, latents in (
            ("x_t", recording.latents[call]),
            ("x0 of the words", recording.x0(call, CONDITIONAL)),
        ):
            assert latents is not None
            rows += _range_rows(call, what, latents)
    return [head, *rows, *_range_rows(recording.num_calls, "finished", recording.final)]


def _range_rows(call: int, what: str, latents: Tensor) -> list[list[object]]:
    return [
        [call, what, each.channel + 1, each.least, each.largest, each.mean, each.spread]
        for each in channel_ranges(latents)
    ]


def moved_table(moved: Sequence[Moved]) -> list[list[object]]:
    """Return a row for each channel in which the cell was moved, places counted from 1."""
    head: list[object] = [
        *("row", "column", "channel", "before", "after", "largest_change_of_255", "changed_share"),
        *("share_over_the_cell", "changed_box", "clear_box"),
    ]
    rows: list[list[object]] = [
        [
            each.row + 1,
            each.column + 1,
            each.channel + 1,
            each.before,
            each.after,
            int(each.difference.max()),
            each.changed_share,
            each.own_share,
            str(each.changed_box or ""),
            str(each.clear_box or ""),
        ]
        for each in moved
    ]
    return [head, *rows]


# -- a cell poked on the way


def make_poke(look: Look) -> PanelFiles:
    """Poke the busiest cell early, later and late, and go on each time."""
    recording = look.recording
    row, column = busiest_cell(recording.final)
    pokes = [poke(look, call=call, row=row, column=column, amount=MOVE) for call in early_to_late(recording)]
    return PanelFiles(
        pictures={"curve": poke_curve(pokes), "pictures": poke_sheet(pokes)},
        arrays={
            "distances": np.stack([each.distances for each in pokes]),
            "cells": np.stack([each.lengths for each in pokes]),
        },
        tables={"poke": poke_table(pokes)},
        said=[
            f"The cell in row {row + 1}, column {column + 1} was poked in all channels.",
            *(each.sentence for each in pokes),
        ],
    )


def poke_curve(pokes: Sequence[Poked], *, width: int = 900, height: int = 420) -> Image.Image:
    """Draw how far each poked run is from the recorded one, on a logarithmic axis."""
    from matplotlib import colormaps  # here: it takes half a second
    from matplotlib.figure import Figure

    dpi = 100
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, layout="constrained")
    axes = figure.add_subplot()
    order = pokes[0].recorded.facts.order
    steps = np.arange(len(pokes[0].distances)) / order + 1
    for number, each in enumerate(pokes):
        color = colormaps["viridis"](0.85 * number / max(len(pokes) - 1, 1))
        label = f"poked at step {each.call // order + 1}: {each.verdict}"
        axes.plot(steps, _of_a_log(each.distances), color=color, marker=".", label=label)
        axes.plot(steps, _of_a_log(each.unnoticed), color=color, linestyle=":", linewidth=1)
    axes.plot([], [], color="0.5", linestyle=":", linewidth=1, label="if the U-Net ignored it")
    axes.set(
        xlabel="step (the last one is the end)", ylabel="distance of x_t from the recorded run", yscale="log"
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return Image.open(stream).convert("RGB")


def _of_a_log(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, np.nan)


def poke_sheet(pokes: Sequence[Poked]) -> Image.Image:
    """Draw the picture of each poked run, its difference, and which latents differ in the end."""
    recording = pokes[0].recorded
    size = tile_size(recording.decoded)
    limit = max(float(each.lengths[-1].max()) for each in pokes)
    tiles = [("as it was", shown(recording.decoded, size)), *[("", Image.new("RGB", size, "white"))] * 2]
    for each in pokes:
        step = each.call // recording.facts.order + 1
        tiles += [
            (f"poked at step {step}: {each.verdict}", shown(each.recording.decoded, size)),
            (
                f"the difference: {100 * each.changed_share:.1f} % visible",
                heat(each.difference.astype(np.float32), 255.0, size),
            ),
            (
                f"of the latents: {each.touched[-1]} cells differ, bright: {limit:.2f}",
                heat(each.lengths[-1], limit, size),
            ),
        ]
    return sheet(tiles, title="One cell poked on the way, and the run continued", columns=3)


def poke_table(pokes: Sequence[Poked]) -> list[list[object]]:
    """Return a row for each call of each poked run from its poke on; places and steps counted from 1."""
    head: list[object] = [
        *("poked_at_step", "row", "column", "spreads", "call", "distance", "distance_near_the_cell"),
        *("distance_unnoticed", "cells_touched"),
    ]
    rows: list[list[object]] = [
        [
            each.call // each.recorded.facts.order + 1,
            each.row + 1,
            each.column + 1,
            each.amount,
            call,
            float(each.distances[call]),
            float(each.at_the_cell[call]),
            float(each.unnoticed[call]),
            each.touched[call],
        ]
        for each in pokes
        for call in range(each.call, len(each.distances))
    ]
    return [head, *rows]


PANELS = (
    Panel(
        name="latents",
        title="The latents",
        seen="The model draws in four channels of a much smaller grid, which the decoder turns into pixels."
        " One number moved shows what a cell stands for: the boxes around what changes are measured.",
        not_shown="It does not show what a channel means, since none of them stands for one thing alone.",
        formula="picture = decoder(latents / scaling factor); a pixel counts as changed from a difference of"
        " 1 of 255 in a channel on, as clearly changed from 8 on. The decoder's normalisation and attention"
        " look at the whole picture, so that a faint change reaches far.",
        exactness=MEASURED,
        make=make_latents,
        actions=LATENT_ACTIONS,
    ),
    Panel(
        name="poke",
        title="A cell poked on the way",
        seen="One cell of the noisy latents is changed at a step, and the run continues from there. The curve"
        " shows whether the difference heals, stays in its place or spreads.",
        not_shown="It does not show why, and another cell or another size of the poke may end otherwise.",
        formula="x′_k = x_k + 3 spreads in one cell, then the same steps with the same noise; the distance is"
        " ‖x′_t − x_t‖ with x_t brought to variance 1. Dotted: if the U-Net ignored it, it would grow as"
        " the signal's share √a_t / √a_k does.",
        exactness=MEASURED,
        make=make_poke,
        makes_pictures=True,
        actions=POKE_ACTIONS,
    ),
)
