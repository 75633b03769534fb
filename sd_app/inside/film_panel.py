"""The panel of the film, and what can be done in it on the page."""

from ..probes.recording import CONDITIONAL
from ..requests import LookAnswer
from .actions import Action, Given, choice, wholes
from .decided import decide
from .film import all_frames, clock_of, first_frames, frames, frames_there, make_film, rows_of
from .guidance_actions import needless
from .look import Look
from .panel import EXACT, Panel

MOST_TOGETHER = 16  # frames of one row that are asked for at once


def begin(look: Look, given: Given) -> LookAnswer:
    """Return the rows there are, and the first frames of the one that the words alone ask for."""
    first = first_frames(look.recording)
    images = frames(look, CONDITIONAL, first)
    return LookAnswer(
        numbers={"rows": rows_of(look.recording), "first": first, "clock": clock_of(look.recording)},
        pictures={f"{CONDITIONAL}:{frame}": image for frame, image in zip(first, images, strict=True)},
    )


def some_frames(look: Look, given: Given) -> LookAnswer:
    """Decode `frames` of a `row`: U-Net calls, and their number for the finished picture."""
    recording = look.recording
    row = choice(given, "row", tuple(rows_of(recording)))
    asked = wholes(given, "frames", 0, recording.num_calls, MOST_TOGETHER)
    there = frames_there(recording, row, asked)
    images = frames(look, row, there)
    return LookAnswer(
        numbers={"absent": [frame for frame in asked if frame not in there]},
        pictures={f"{row}:{frame}": image for frame, image in zip(there, images, strict=True)},
    )


def decided(look: Look, given: Given) -> LookAnswer:
    """Return from which step on what stays, and from which on the prompt is not needed."""
    recording = look.recording
    chosen = all_frames(recording)
    found = decide(recording, chosen, frames(look, CONDITIONAL, chosen))
    return LookAnswer(
        numbers={
            "decided": [
                {"what": one.what, "step": one.step(recording), "said": one.sentence(recording)}
                for one in found
            ],
            "steps": recording.num_steps,
            "needless": needless(recording) if recording.guided_calls else None,
        }
    )


PANEL = Panel(
    name="film",
    title="How the noise became the picture",
    seen="Each picture is what the model would draw if it had to finish at that step, from the words alone."
    " The finished picture stands last.",
    not_shown="It does not show why: these are the model's guesses, not its reasons.",
    formula="x0 = (x_t − √(1−a) ε) / √a, with ε the U-Net's output with the prompt, without it, or guided:"
    " ε_u + w (ε_c − ε_u); a is the share of the signal's variance at the step.",
    exactness=EXACT,
    make=make_film,
    actions=(
        Action(name="begin", answer=begin),
        Action(name="frames", answer=some_frames),
        Action(name="decided", answer=decided),
    ),
)
