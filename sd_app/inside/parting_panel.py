"""The panel of where two ways part, and what is done in it on the page: choose the other run, see both."""

from collections import OrderedDict
from dataclasses import replace
from weakref import WeakKeyDictionary

from ..probes.recording import CONDITIONAL
from ..requests import MAX_PROMPT, MAX_SEED, LookAnswer
from .actions import Action, Given, choice, text, whole, wholes
from .film import frames
from .look import Look
from .panel import EXACT, Panel
from .parting import HALF, SAME_LEVEL, SHOWN, Parting, compare
from .parting_files import COLORS, make_parting, run_other, said_of

PROMPT, SEED, KEPT = "prompt", "seed", "kept"
MOST_KEPT = 1  # other runs that are kept for whoever looks: of SDXL each has about 100 MB
MOST_TOGETHER = 16  # frames that are asked for at once
MAX_NAME = 100  # characters of a recording's name
NOT_HERE = "this recording is not kept any more (choose another one)"

_others: WeakKeyDictionary[Look, OrderedDict[str, Look]] = WeakKeyDictionary()


def list_kept(look: Look, given: Given) -> LookAnswer:
    """Return the recordings that whoever looks may open, the newest first."""
    kept = list(look.list_others()) if look.list_others else []
    return LookAnswer(numbers={"kept": kept})


def compare_with(look: Look, given: Given) -> LookAnswer:
    """Compare with the same noise and another `prompt`, with another `seed`, or with a run that is `kept`."""
    kind = choice(given, "with", (PROMPT, SEED, KEPT))
    if kind == KEPT:
        value = text(given, "kept", MAX_NAME)
    elif kind == PROMPT:
        value = text(given, "prompt", MAX_PROMPT)
    else:
        value = str(whole(given, "seed", 0, MAX_SEED))
    key = f"{kind}:{value}"
    other = _other(look, key, kind, value)
    parting = compare(look.recording, other.recording)
    return LookAnswer(
        numbers={"key": key, "with": said_of(other.recording), **numbers_of(parting)},
        pictures={"a": look.recording.decoded, "b": other.recording.decoded},
    )


def _other(look: Look, key: str, kind: str, value: str) -> Look:
    """Return the other run; the last few are kept."""
    known = _others.setdefault(look, OrderedDict())
    if key not in known:
        known[key] = _make_other(look, kind, value)
        while len(known) > MOST_KEPT:
            known.popitem(last=False)
    known.move_to_end(key)
    known[key].on_step = look.on_step
    return known[key]


def _make_other(look: Look, kind: str, value: str) -> Look:
    if kind == PROMPT:
        return run_other(look, replace(look.request, prompt=value))
    if kind == SEED:
        return run_other(look, replace(look.request, seed=int(value)))
    if look.open_other is None:
        raise ValueError(NOT_HERE)
    return Look(look.manager, look.open_other(value), on_step=look.on_step)


def numbers_of(parting: Parting) -> dict[str, object]:
    """Return the curves, the step at which each parts, and what is said."""
    b = parting.b
    shown = [what for what in SHOWN if what in parting.distances]
    return {
        "said": parting.sentence,
        "notes": list(parting.notes),
        "steps": [i // parting.a.facts.order + 1 for i, _ in parting.pairs],
        "num_steps": parting.a.num_steps,
        "curves": [
            {
                "what": what,
                "color": COLORS[what],
                "shares": parting.shares(what).tolist(),
                "distances": parting.distances[what].tolist(),
                "step": parting.step(what),
            }
            for what in shown
        ],
        # Of each step of this run the other's call: at one noise level, else the nearest one.
        "others": [nearest_call(parting, i) for i in range(0, parting.a.num_calls, parting.a.facts.order)],
        "other_calls": b.num_calls,
        "other_steps": b.num_steps,
        "order": b.facts.order,
    }


def nearest_call(parting: Parting, call: int) -> int:
    """Return the call of the other run whose noise level is nearest to that of a call of this one."""
    level = float(parting.a.sigmas[call])
    distances = (parting.b.sigmas[:: parting.b.facts.order] - level).abs()
    return int(distances.argmin()) * parting.b.facts.order


def other_frames(look: Look, given: Given) -> LookAnswer:
    """Decode `frames` of one `side`, "a" or "b", of the comparison of a `key`."""
    known = _others.get(look, OrderedDict())
    other = known.get(text(given, "key", MAX_PROMPT + MAX_NAME))
    if other is None:
        raise ValueError("this comparison was put away since (compare again)")
    side = choice(given, "side", ("a", "b"))
    shown = look if side == "a" else other
    other.on_step = look.on_step
    asked = wholes(given, "frames", 0, shown.recording.num_calls, MOST_TOGETHER)
    images = frames(shown, CONDITIONAL, asked)
    return LookAnswer(pictures={f"{side}:{frame}": image for frame, image in zip(asked, images, strict=True)})


PANEL = Panel(
    name="parting",
    title="Where two ways part",
    seen="Two runs are compared at the same noise levels: how far apart their noisy pictures, their predicted"
    " pictures and their attention are. Each parts at the step at which its distance has reached half of"
    " what it becomes, and both films stand below.",
    not_shown="It does not show why they part, nor that what changes first causes what changes later.",
    formula="noisy: RMS of x_t − x_t′ (variance 1); predicted: RMS of x0(c) − x0(c)′; attention: mean over"
    " modules and places of ½ Σ_w |m_w − m_w′|, words side by side, one without its like counted whole."
    f" Parting step: the first k with D(k) ≥ {HALF:g} · D, where D is the RMS of the finished latents'"
    " difference, for attention its largest. Steps are compared whose noise over signal differs by at most"
    f" {100 * SAME_LEVEL:.0f} %.",
    exactness=EXACT,
    make=make_parting,
    makes_pictures=True,
    actions=(
        Action(name="kept", answer=list_kept, runs=False),
        Action(name="compare", answer=compare_with),
        Action(name="frames", answer=other_frames),
    ),
)
