"""The files of where two ways part, and what answers whether attention or the picture changes first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL import Image

from ..probes.recorder import Watch
from ..probes.recording import CONDITIONAL, Recording
from ..requests import Txt2ImgRequest
from ..weights.model_manager import ModelManager
from .film import first_frames, frames, label_of, strip
from .look import Look
from .panel import PanelFiles
from .parting import ATTENTION, HALF, NOISY, PREDICTED, SHOWN, Parting, compare
from .prompt_words import without
from .record import record
from .word_panels import NO_WORD, effects_of

SEEDS = tuple(range(8))  # over which the question is answered
COLORS = {NOISY: "#888888", PREDICTED: "#1f77b4", ATTENTION: "#e07b00"}


def make_parting(look: Look) -> PanelFiles:
    """Make the curves of the distances, both films, and the numbers."""
    other, said = other_run(look)
    parting = compare(look.recording, other.recording)
    pictures = {"films": films(look, other)}
    if parting.distances:
        pictures = {"curves": curves(parting)} | pictures
    return PanelFiles(
        pictures=pictures,
        arrays={what.replace(" ", "_"): values for what, values in parting.distances.items()},
        tables={"distances": distances_table(parting)} if parting.distances else {},
        said=[said, parting.sentence, *parting.notes],
    )


def other_run(look: Look) -> tuple[Look, str]:
    """Return the run to compare with, and what it is: the one given, or that without the strongest word."""
    if look.open_other is not None:
        other = look.open_other("")
        return Look(look.manager, other, on_step=look.on_step), f"Compared with: {said_of(other)}"
    effects = effects_of(look)
    if not effects.words:
        raise ValueError(f"{NO_WORD} Give another picture to compare with.")
    word = effects.words[int(np.argmax(effects.totals))]
    request = replace(look.request, prompt=without(look.request.prompt, word.start, word.end))
    return run_other(look, request), (
        f"No other picture was given, so this one is compared with the same noise without “{word.label}”, the"
        " word that did most."
    )


def said_of(recording: Recording) -> str:
    """Say which run that is."""
    request = recording.request
    return f"“{request.prompt}”, seed {request.seed}, {recording.num_steps} steps of {recording.facts.model}."


def run_other(look: Look, request: Txt2ImgRequest) -> Look:
    """Record another request as this one was: with attention if it has it. Raise as the job itself."""
    watch = Watch(attention=look.recording.attention is not None, features=False)
    recording = record(look.manager, request, None, watch=watch, on_step=look.on_step)[0]
    return Look(look.manager, recording, on_step=look.on_step)


def films(look: Look, other: Look) -> Image.Image:
    """Put both films one below the other, each with its own frames."""
    strips = []
    for one in (look, other):
        chosen = first_frames(one.recording)
        labels = [label_of(one.recording, frame) for frame in chosen]
        strips.append(strip(frames(one, CONDITIONAL, chosen), labels))
    page = Image.new("RGB", (max(one.width for one in strips), sum(one.height for one in strips)), "white")
    page.paste(strips[0], (0, 0))
    page.paste(strips[1], (0, strips[0].height))
    return page


def curves(parting: Parting, *, width: int = 900, height: int = 420) -> Image.Image:
    """Draw each distance over the steps, as a share of what it becomes, with the step at which it parts."""
    from matplotlib.figure import Figure  # here: it takes half a second

    dpi = 100
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, layout="constrained")
    axes = figure.add_subplot()
    steps = [i / parting.a.facts.order + 1 for i, _ in parting.pairs]
    for what in SHOWN:
        if what not in parting.distances:
            continue
        shares, step = parting.shares(what), parting.step(what)
        label = f"{what}: parts at step {step}" if step else f"{what}: never by half"
        axes.plot(steps, shares, marker=".", color=COLORS[what], label=label)
        if step:
            axes.axvline(step, color=COLORS[what], linewidth=0.8, linestyle=":")
    axes.axhline(HALF, color="0.6", linestyle="--", linewidth=1)
    axes.set(xlabel="step", ylabel="distance, as a share of what it becomes", ylim=(0, None))
    axes.set_xlim(1, max(float(parting.a.num_steps), 2))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return Image.open(stream).convert("RGB")


def distances_table(parting: Parting) -> list[list[object]]:
    """Return a row for each pair of calls at one noise level."""
    names = [what for what in SHOWN if what in parting.distances]
    head: list[object] = ["step", "call", "other_call", "noise_over_signal"]
    rows: list[list[object]] = [
        [
            *(i // parting.a.facts.order + 1, i, j, float(parting.a.sigmas[i])),
            *(float(parting.distances[what][number]) for what in names),
        ]
        for number, (i, j) in enumerate(parting.pairs)
    ]
    return [[*head, *(what.replace(" ", "_") for what in names)], *rows]


# -- does attention or the picture change first?


@dataclass(frozen=True, kw_only=True)
class WhichFirst:
    """The steps at which attention, predicted and noisy picture part, for one seed; None: never by half."""

    seed: int
    steps: dict[str, int | None]

    @property
    def attention_first(self) -> bool:
        """Tell whether attention parts before the predicted picture does."""
        attention, predicted = self.steps[ATTENTION], self.steps[PREDICTED]
        return attention is not None and (predicted is None or attention < predicted)


def which_first(
    manager: ModelManager,
    request: Txt2ImgRequest,
    other_prompt: str,
    seeds: Sequence[int] = SEEDS,
    on_seed: Callable[[WhichFirst, Parting], None] = lambda one, parting: None,
) -> list[WhichFirst]:
    """Run a request and the same with another prompt from each seed's noise, and tell what parts when."""
    found = []
    for seed in seeds:
        asked = [replace(request, seed=seed, prompt=prompt) for prompt in (request.prompt, other_prompt)]
        watch = Watch(attention=True, features=False)
        parting = compare(*(record(manager, one, None, watch=watch)[0] for one in asked))
        one = WhichFirst(seed=seed, steps={what: parting.step(what) for what in parting.distances})
        found.append(one)
        on_seed(one, parting)
    return found
