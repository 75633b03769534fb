"""What can be done on the page in the panels of guidance, and in that of fewer steps."""

from weakref import WeakKeyDictionary

from ..probes.recording import Recording
from ..requests import LookAnswer
from .actions import Action, Given, choice, whole
from .fewer_steps import COUNTS, with_fewer_steps
from .guidance import (
    NEEDLESS,
    Push,
    guidance_push,
    needless_from,
    needless_limit,
    negative_push,
    without_prompt_from,
)
from .guidance_sweep import SCALES, guidance_sweep
from .look import Look
from .word_actions import again_answer

PROMPT, NEGATIVE = "prompt", "negative"  # what pushed

_negative: WeakKeyDictionary[Look, Push] = WeakKeyDictionary()


def push_of(look: Look, what: str) -> Push:
    """Return what the prompt or the negative prompt pushed; the latter asks the U-Net, once for each look."""
    if what == PROMPT:
        return guidance_push(look.recording)
    if look not in _negative:
        _negative[look] = negative_push(look)
    return _negative[look]


def begin_guidance(look: Look, given: Given) -> LookAnswer:
    """Return the curve, below which size the prompt is not needed, and from which step on it was not."""
    recording = look.recording
    return LookAnswer(
        numbers={
            **_curve(recording, push_of(look, PROMPT)),
            "limit": needless_limit(recording) * recording.guidance_scale,
            "needless": needless(recording),
            "has_negative": bool(recording.request.negative_prompt.strip()),
        }
    )


def negative_curve(look: Look, given: Given) -> LookAnswer:
    """Return the curve of the negative prompt."""
    return LookAnswer(numbers=_curve(look.recording, push_of(look, NEGATIVE)))


def _curve(recording: Recording, push: Push) -> dict[str, object]:
    """Return a size for each step; None at those where nothing pushed."""
    order = recording.facts.order
    sizes = [float(push.sizes[step * order]) for step in range(recording.num_steps)]
    return {"sizes": sizes, "scale": push.scale}  # what is not known is NaN, which travels as null


def push_map(look: Look, given: Given) -> LookAnswer:
    """Return where something pushed at a call; nothing if it did not."""
    what = choice(given, "what", (PROMPT, NEGATIVE))
    call = whole(given, "call", 0, look.recording.num_calls - 1)
    if what == NEGATIVE and look not in _negative:
        raise ValueError("the negative prompt's push was not worked out yet (press Negative prompt)")
    push = push_of(look, what)
    if call not in push.calls:
        return LookAnswer(numbers={"map": None})
    return LookAnswer(
        numbers={
            "map": push.maps[call],
            "size": float(push.sizes[call]),
            "limit": float(push.maps[call].max()),
        }
    )


def needless(recording: Recording) -> dict[str, object]:
    """Return from which step on the prompt is not needed, and the sentence that says so."""
    first = needless_from(recording)
    step = None if first is None else first // recording.facts.order + 1
    return {"step": step, "said": needless_sentence(recording, first)}


def needless_sentence(recording: Recording, first: int | None) -> str:
    """Say from which step on the prompt was not needed, and how that is decided."""
    if not recording.guidance_scale:
        return "At guidance 0 the prompt does not count at any step."
    how = (
        "the pictures predicted with the prompt and without it, unguided, differ by less than"
        f" {100 * NEEDLESS:.0f} % of the finished latents' spread ({needless_limit(recording):.2f}) there and"
        " at every later step"
    )
    if first is None:
        return f"The model needs the prompt to the end: at no step on is it true that {how}."
    step = first // recording.facts.order + 1
    return f"From step {step} of {recording.num_steps} on the model no longer needs the prompt: {how}."


def prompt_away(look: Look, given: Given) -> LookAnswer:
    """Make the picture with the prompt taken away from a step on, 2 to the last."""
    step = whole(given, "step", 2, look.recording.num_steps)
    return again_answer(without_prompt_from(look, step - 1))


# -- one noise at other scales


def begin_sweep(look: Look, given: Given) -> LookAnswer:
    """Return the scales that are tried, and the recorded one."""
    return LookAnswer(numbers={"scales": list(SCALES), "own": look.recording.guidance_scale})


def sweep_point(look: Look, given: Given) -> LookAnswer:
    """Make the pictures of one of the scales, and read both meters."""
    number = whole(given, "number", 0, len(SCALES) - 1)
    [point] = guidance_sweep(look, scales=[SCALES[number]])
    return LookAnswer(
        numbers={"scale": point.scale, "likeness": point.likeness, "clipped": point.clipped},
        pictures={f"seed {count}": picture for count, picture in enumerate(point.pictures)},
    )


# -- fewer steps


def begin_steps(look: Look, given: Given) -> LookAnswer:
    """Return the numbers of steps that are tried."""
    return LookAnswer(numbers={"counts": list(COUNTS), "own": look.recording.num_steps})


def steps_picture(look: Look, given: Given) -> LookAnswer:
    """Make the picture with one of the numbers of steps; what cannot be made is said."""
    number = whole(given, "number", 0, len(COUNTS) - 1)
    made, said = with_fewer_steps(look, [COUNTS[number]])
    if not made:
        return LookAnswer(numbers={"said": " ".join(said)})
    [one] = made
    numbers = {"said": "", "calls": one.calls, "timestep": one.timestep, "sigma": one.sigma}
    return LookAnswer(numbers=numbers, pictures={"picture": one.image})


GUIDANCE_ACTIONS = (
    Action(name="begin", answer=begin_guidance, runs=False),
    Action(name="map", answer=push_map, runs=False),
    Action(name="negative", answer=negative_curve),
    Action(name="away", answer=prompt_away),
)
SWEEP_ACTIONS = (
    Action(name="begin", answer=begin_sweep, runs=False),
    Action(name="point", answer=sweep_point),
)
STEPS_ACTIONS = (
    Action(name="begin", answer=begin_steps, runs=False),
    Action(name="picture", answer=steps_picture),
)
