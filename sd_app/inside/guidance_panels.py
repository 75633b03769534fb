"""The panels of guidance: what it pushed in this run, and the same noise at other scales."""

from io import BytesIO

import numpy as np
from PIL import Image

from ..probes.recording import Recording
from .film import first_frames
from .guidance import (
    Push,
    guidance_push,
    needless_from,
    needless_limit,
    negative_push,
    why_unguided,
    without_prompt_from,
)
from .guidance_actions import GUIDANCE_ACTIONS, SWEEP_ACTIONS, needless_sentence
from .guidance_sweep import SCALES, guidance_sweep
from .look import Look
from .panel import EXACT, MEASURED, Panel, PanelFiles
from .sheets import heat, sheet, shown, tile_size
from .word_panels import again_sheet


def make_guidance(look: Look) -> PanelFiles:
    """Make the curve, the maps at nine steps, and the picture with the prompt taken away."""
    recording = look.recording
    push = guidance_push(recording)
    pushes = {"prompt": push}
    if recording.request.negative_prompt.strip():
        pushes["negative prompt"] = negative_push(look)
    pictures = {"curve": curve(recording, pushes)}
    pictures |= {name.replace(" ", "_"): maps_sheet(look, name, each) for name, each in pushes.items()}
    first = needless_from(recording)
    said = [*recording.notes, needless_sentence(recording, first)]
    if first is not None and recording.guidance_scale:
        step = -(-first // recording.facts.order)
        if 0 < step < recording.num_steps:
            again = without_prompt_from(look, step)
            said.append(f"Run again with {again.label}: {again.sentence}")
            title = "The same noise, with the prompt taken away from that step on"
            pictures["taken_away"] = again_sheet(look, [again], title)
    return PanelFiles(
        pictures=pictures,
        arrays={f"{name.replace(' ', '_')}_maps": each.maps for name, each in pushes.items()},
        tables={"push": push_table(recording, pushes)},
        said=said,
    )


def curve(
    recording: Recording, pushes: dict[str, Push], *, width: int = 900, height: int = 420
) -> Image.Image:
    """Draw the size of each push over the steps, on a logarithmic axis."""
    from matplotlib.figure import Figure  # here: it takes half a second

    dpi = 100
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, layout="constrained")
    axes = figure.add_subplot()
    steps = np.arange(recording.num_calls) / recording.facts.order + 1
    for name, push in pushes.items():
        sizes = np.where(push.sizes > 0, push.sizes, np.nan)
        axes.plot(steps, sizes, marker=".", label=f"{name}: {push.scale:+g} × the difference")
    limit = needless_limit(recording) * max(recording.guidance_scale, 1e-6)
    axes.axhline(limit, color="0.6", linestyle="--", linewidth=1, label="below: the prompt is not needed")
    axes.set(xlabel="step", ylabel="push of the predicted picture (x0 units, RMS)", yscale="log")
    axes.set_xlim(1, max(float(steps[-1]), 2))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return Image.open(stream).convert("RGB")


def maps_sheet(look: Look, name: str, push: Push) -> Image.Image:
    """Draw where something pushed at nine steps, each on a scale of its own, since the sizes fall so far."""
    recording, picture = look.recording, look.recording.decoded
    size = tile_size(picture)
    tiles = [("the picture", shown(picture, size))]
    for call in first_frames(recording):
        if call < recording.num_calls and call in push.calls:
            values = push.maps[call]
            step = call // recording.facts.order + 1
            largest = float(values.max())
            tiles.append(
                (f"step {step}: {push.sizes[call]:.2f}, bright: {largest:.2f}", heat(values, largest, size))
            )
    return sheet(tiles, title=f"Where the {name} pushed the predicted picture (x0 units)", columns=5)


def push_table(recording: Recording, pushes: dict[str, Push]) -> list[list[object]]:
    """Return a row a call."""
    head: list[object] = [
        "call",
        "step",
        "noise_over_signal",
        *(f"{name.replace(' ', '_')}_x0_units" for name in pushes),
    ]
    rows: list[list[object]] = [
        [
            call,
            call // recording.facts.order + 1,
            float(recording.sigmas[call]),
            *(float(push.sizes[call]) for push in pushes.values()),
        ]
        for call in range(recording.num_calls)
    ]
    return [head, *rows]


def make_sweep(look: Look) -> PanelFiles:
    """Make the same noise at seven scales, and both meters."""
    points = guidance_sweep(look)
    size = tile_size(look.recording.decoded)
    tiles = [
        (
            f"{point.scale:g}: likeness {point.likeness:.2f}, clipped {100 * point.clipped:.1f} %",
            shown(point.pictures[0], size),
        )
        for point in points
    ]
    seeds = len(points[0].pictures)
    head: list[object] = ["guidance_scale", "likeness_of_seeds", "clipped_share", "seeds"]
    rows: list[list[object]] = [
        [point.scale, point.likeness, point.clipped, len(point.pictures)] for point in points
    ]
    return PanelFiles(
        pictures={
            "sweep": sheet(tiles, title=f"One noise at {len(points)} guidance scales", columns=len(SCALES))
        },
        tables={"sweep": [head, *rows]},
        said=[f"Likeness and clipped pixels are of {seeds} seeds: the recorded one and those after it."],
    )


def _why_no_sweep(recording: Recording) -> str:
    if recording.facts.reads_guidance:
        return "Guidance is inside this model, which reads it as a number made for a few scales alone."
    return ""


PANELS = (
    Panel(
        name="guidance",
        title="What guidance pushed",
        seen="The curve shows how far guidance pushed the predicted picture at each step, and the maps where."
        " Below the dashed line the model draws the same with your words and without them.",
        not_shown="It does not show the steps at which guidance had ended, nor whether the push was for the"
        " better.",
        formula="w · (x0(c) − x0(u)), for a model that predicts noise w · noise/signal · (c − u); the curve"
        " is its root mean square, the map its length over the four channels. The negative prompt:"
        " (1 − w) · (x0(u) − x0(u of an empty one)).",
        exactness=EXACT,
        make=make_guidance,
        why_not=why_unguided,
        actions=GUIDANCE_ACTIONS,
    ),
    Panel(
        name="sweep",
        title="The same noise at other guidance scales",
        seen="One noise at guidance 0, 1, 3, 5, 7.5, 10 and 15: at 0 the model draws without your words. The"
        " two meters show what a high scale costs: pictures of different seeds become alike, and colours"
        " run into their ends.",
        not_shown="It does not show how well each picture follows the prompt.",
        formula="likeness = mean correlation over all pairs of seeds, of pictures reduced to 8 by 8 colours;"
        " clipped = share of pixels with a channel at 0 or 255.",
        exactness=MEASURED,
        make=make_sweep,
        why_not=_why_no_sweep,
        actions=SWEEP_ACTIONS,
        makes_pictures=True,
    ),
)
