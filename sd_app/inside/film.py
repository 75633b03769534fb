"""The film: how noise became the picture, step by step.

Rows: x_t itself, and the clean picture x0 that each of the U-Net's outputs points at. x0 = (x_t - sigma eps)
in the scale where the signal is 1 (Song et al. 2021, eq. 9). The finished picture comes last: it is the
decoded x_0, which is not the x0 of the last call.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..pictures.films import film_bytes
from ..probes.recording import CONDITIONAL, GUIDED, UNCONDITIONAL, Recording
from .decided import Decision, decide
from .look import Look
from .panel import PanelFiles

NOISY = "noisy"
ROWS = {
    CONDITIONAL: "What the words ask for now",
    UNCONDITIONAL: "What the model sees without the words",
    GUIDED: "As guided: pushed too far on purpose",
    NOISY: "The noisy picture x_t",
}
# Of 25 steps 0 1 2 3 4 6 8 11 and the end: early steps differ most.
FIRST_VIEW = tuple(step / 24 for step in (0, 1, 2, 3, 4, 6, 8, 11, 24))
FRAMES_A_SECOND = 8
MOST_FRAMES = 50  # of a saved film
TRAINING_STEPS = 1000  # if a scheduler does not say
_LABEL, _GAP = 14, 2  # pixels of a strip's writing and between its pictures


def first_frames(recording: Recording) -> list[int]:
    """Return the nine frames to be shown first, or all if there are fewer: calls, and n for the end."""
    last = recording.num_steps - 1
    steps = sorted({round(share * last) for share in FIRST_VIEW[:-1]})
    return [*(step * recording.facts.order for step in steps), recording.num_calls]


def all_frames(recording: Recording, most: int = MOST_FRAMES) -> list[int]:
    """Return a frame for each step, at most so many at even distances, and n for the end."""
    count = min(most, recording.num_steps)
    steps = np.linspace(0, recording.num_steps - 1, count).round().astype(int)
    return [*(int(step) * recording.facts.order for step in steps), recording.num_calls]


def clock_of(recording: Recording) -> Mapping[str, object]:
    """Return the steps that were taken: what the one scrubber goes through. The finished picture follows."""
    order = recording.facts.order
    calls = [step * order for step in range(recording.num_steps)]
    training = recording.facts.scheduler_config.get("num_train_timesteps", TRAINING_STEPS)
    return {
        "calls": calls,  # the U-Net's call with which each step begins
        "num_calls": recording.num_calls,  # the frame of the finished picture
        "timesteps": [float(recording.timesteps[call]) for call in calls],
        "sigmas": [float(recording.sigmas[call]) for call in calls],  # noise over signal
        "guided": [call in recording.guided_calls for call in calls],
        "shallow": [call in recording.shallow_calls for call in calls],
        "training_steps": training if isinstance(training, int) else TRAINING_STEPS,
    }


def frame_latents(recording: Recording, frame: int, row: str) -> Tensor | None:
    """Return what a frame shows before it is decoded, (4, h, w); None where that half was not run."""
    if frame == recording.num_calls:
        return recording.final
    return recording.unscaled(frame) if row == NOISY else recording.x0(frame, row)


def frames(look: Look, row: str = CONDITIONAL, chosen: Sequence[int] | None = None) -> list[Image.Image]:
    """Decode a row's frames, by default the first nine; frame n is the finished picture.

    Frames whose half was not run are left out: see frames_there. Raise ValueError for another row.
    """
    recording = look.recording
    if row not in ROWS:
        raise ValueError(f"row must be one of {', '.join(ROWS)}, got {row}")
    shown = frames_there(recording, row, first_frames(recording) if chosen is None else chosen)
    inner = [frame for frame in shown if frame != recording.num_calls]
    latents = [frame_latents(recording, frame, row) for frame in inner]
    decoded = look.decode(torch.stack([one for one in latents if one is not None])) if inner else []
    known = dict(zip(inner, decoded, strict=True)) | {recording.num_calls: recording.decoded}
    return [known[frame] for frame in shown]


def frames_there(recording: Recording, row: str, chosen: Sequence[int]) -> list[int]:
    """Return those of the frames that a row has."""
    return [
        frame
        for frame in chosen
        if row != UNCONDITIONAL or frame == recording.num_calls or frame in recording.guided_calls
    ]


def rows_of(recording: Recording) -> dict[str, str]:
    """Return the rows that a recording has, with their titles: without guidance only two."""
    if recording.guided_calls:
        return dict(ROWS)
    return {row: ROWS[row] for row in (CONDITIONAL, NOISY)}


def strip(images: Sequence[Image.Image], labels: Sequence[str]) -> Image.Image:
    """Put pictures of one size side by side, each with a label below."""
    width, height = images[0].size
    sheet = Image.new("RGB", (len(images) * (width + _GAP) - _GAP, height + _LABEL), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = number * (width + _GAP)
        sheet.paste(image, (left, 0))
        draw.text((left + 2, height + 1), label, fill="black")
    return sheet


def label_of(recording: Recording, frame: int) -> str:
    """Name a frame: its step from 1 and its noise level of 0..999."""
    if frame == recording.num_calls:
        return "finished"
    return f"{frame // recording.facts.order + 1}: t {float(recording.timesteps[frame]):.0f}"


def film(look: Look, kind: str, row: str = CONDITIONAL) -> bytes:
    """Return a row as a film, "mp4" or "webp", the finished picture held at its end."""
    images = frames(look, row, all_frames(look.recording))
    return film_bytes([*images, *[images[-1]] * FRAMES_A_SECOND], fps=FRAMES_A_SECOND, kind=kind)


def steps_table(recording: Recording) -> list[list[object]]:
    """Return a row a call: where it stands, and what was run."""
    head: list[object] = ["call", "step", "timestep", "noise_over_signal", "without_prompt", "deep_blocks"]
    rows: list[list[object]] = [
        [
            call,
            call // recording.facts.order + 1,
            float(recording.timesteps[call]),
            float(recording.sigmas[call]),
            call in recording.guided_calls,
            call not in recording.shallow_calls,
        ]
        for call in range(recording.num_calls)
    ]
    return [head, *rows]


def make_film(look: Look) -> PanelFiles:
    """Make the strips of all rows, the film, what is decided when, and the numbers."""
    recording = look.recording
    pictures: dict[str, Image.Image] = {}
    for row in rows_of(recording):
        shown = frames_there(recording, row, first_frames(recording))
        pictures[row] = strip(frames(look, row, shown), [label_of(recording, frame) for frame in shown])
    chosen = all_frames(recording)
    decisions = decide(recording, chosen, frames(look, CONDITIONAL, chosen))
    arrays = {
        "timesteps": recording.timesteps.numpy(),
        "sigmas": recording.sigmas.numpy(),
        "latents": recording.latents.float().numpy(),
        "conditional": recording.conditional.float().numpy(),
        "unconditional": recording.unconditional.float().numpy(),
    }
    return PanelFiles(
        pictures=pictures,
        arrays=arrays,
        tables={"steps": steps_table(recording), "decided": decision_table(recording, decisions)},
        films={f"film.{kind}": film(look, kind) for kind in ("mp4", "webp")},
        said=[*recording.notes, *(decision.sentence(recording) for decision in decisions)],
    )


def decision_table(recording: Recording, decisions: Sequence[Decision]) -> list[list[object]]:
    """Return a row for each thing that is decided, with what was measured at each frame."""
    if not decisions:
        return []
    shown = [f"step_{frame // recording.facts.order + 1}" for frame in decisions[0].frames[:-1]]
    head: list[object] = ["what", "decided_at_step", *shown, "finished"]
    return [head, *([one.what, one.step(recording), *one.values] for one in decisions)]
