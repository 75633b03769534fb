"""What is done on the page in the panels of the U-Net: look at a part, cut something out."""

from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from ..probes.recording import Recording, stretches
from ..requests import LookAnswer
from .actions import Action, Given, choice
from .activations import LEAST_SIDE, Activation, activations, is_seen
from .again import Again
from .cuts import Cut, cuts_of, did_nothing, with_cuts
from .film import all_frames
from .look import Look
from .sheets import heat
from .unet_drawing import draw, svg
from .unet_parts import Part, UNetParts, parts_of

_known: WeakKeyDictionary[Look, tuple[UNetParts, list[Cut]]] = WeakKeyDictionary()


def parts_and_cuts(look: Look) -> tuple[UNetParts, list[Cut]]:
    """Return the U-Net's parts and what can be cut out of it; read once for whoever looks."""
    if look not in _known:
        with look.pipe() as pipe:
            parts = parts_of(look)
            _known[look] = parts, cuts_of(pipe.unet, parts)
    return _known[look]


def begin_drawing(look: Look, given: Given) -> LookAnswer:
    """Return the drawing as SVG, and of each part what it is and which cuts belong to it."""
    parts, cuts = parts_and_cuts(look)
    drawing = draw(parts)
    told = {
        part.name: {
            "said": part.sentence,
            "seen": is_seen(part.side),
            "cuts": [cut.name for cut in cuts if belongs(cut, part, parts)],
        }
        for part in parts.parts
    }
    skips = [{"source": skip.source, "target": skip.target} for skip in parts.skips]
    return LookAnswer(numbers={"svg": svg(drawing), "title": drawing.title, "parts": told, "skips": skips})


def all_cuts(look: Look) -> list[Cut]:
    """List what can be cut out of the U-Net that made a recording."""
    return parts_and_cuts(look)[1]


def belongs(cut: Cut, part: Part, parts: UNetParts) -> bool:
    """Tell whether a cut takes away what this part alone gives, or hands on as a skip."""
    if cut.how == "skip":
        return any(skip.target == cut.parts[0] and skip.source == part.name for skip in parts.skips)
    if cut.how == "around":
        return part.name.startswith(f"{cut.parts[0]}.")
    return all(name.startswith(f"{part.name}.") for name in cut.parts)


def look_at_part(look: Look, given: Given) -> LookAnswer:
    """Return what a `part` gives at each step, asked again on the recorded x_t: in colours, or as bars."""
    parts, _ = parts_and_cuts(look)
    name = choice(given, "part", tuple(parts.by_name))
    calls = shown_calls(look.recording)
    found = activations(look, [name], calls)[name]
    return LookAnswer(
        numbers={
            "calls": list(found.calls),
            "is_seen": found.components is not None,
            "said": said_of(look.recording, found),
        },
        pictures={str(call): found.picture(number) for number, call in enumerate(found.calls)},
    )


def shown_calls(recording: Recording) -> list[int]:
    """Return the call with which each step begins, at even distances where they are many."""
    return all_frames(recording)[:-1]


def said_of(recording: Recording, found: Activation) -> str:
    """Say what the colours or bars are, and from which step on they stay."""
    height, width = found.side
    end = f" {run}" if (run := in_the_run(recording)) else ""
    if found.components is None:
        return (
            f"{height}×{width} places are too few to be seen, {LEAST_SIDE}×{LEAST_SIDE} are the least: a bar"
            f" for each of the {found.channels} channels, its mean over the places.{end}"
        )
    assert found.shares is not None
    share = 100 * float(np.mean(found.shares.sum(axis=1)))
    settles = found.settles
    assert settles is not None
    step = settles // recording.facts.order + 1
    return (
        f"Three components of {found.channels} channels, {share:.0f} % of their variance on average. They"
        f" show what they show at the end from step {step} of {recording.num_steps} on.{end}"
    )


def in_the_run(recording: Recording) -> str:
    """Say where the run itself left deep blocks out; empty if it did not."""
    if not recording.shallow_calls:
        return ""
    steps = stretches(recording.steps_of(recording.shallow_calls))
    return f"In the run those of an earlier step stood in for the deep blocks at {steps}; here all are run."


def list_cuts(look: Look, given: Given) -> LookAnswer:
    """Return what can be cut out, the named ones first."""
    cuts = all_cuts(look)
    listed = [{"name": cut.name, "where": cut.where, "named": cut.named} for cut in cuts]
    return LookAnswer(numbers={"cuts": listed})


def cut(look: Look, given: Given) -> LookAnswer:
    """Make the picture again with one cut, by its name."""
    cuts = all_cuts(look)
    name = choice(given, "name", tuple(each.name for each in cuts))
    again = with_cuts(look, [next(each for each in cuts if each.name == name)])
    return LookAnswer(
        numbers={"said": again.sentence, "nothing": did_nothing(again), **again.changes},
        pictures={"picture": again.picture, "difference": difference_of(again)},
    )


def difference_of(again: Again) -> Image.Image:
    """Draw the difference: black for none, bright for 255."""
    return heat(again.difference.astype(np.float32), 255.0, again.picture.size)


DRAWING_ACTIONS = (
    Action(name="begin", answer=begin_drawing),
    Action(name="part", answer=look_at_part),
    Action(name="cut", answer=cut),
)
CUT_ACTIONS = (Action(name="begin", answer=list_cuts), Action(name="cut", answer=cut))
