"""Prompts whose words are known to the judge, and what the views of words say of them.

The fixed set: 60 prompts that state all six attributes, 40 flat and 20 of any style, and 60 that state
subject, colour and background alone; each with a noise of its own. The subject's box is the renderer's, for
the size and place that the judge reads in the picture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from sd_app import Studio, Txt2ImgRequest
from sd_app.inside.again import without_words
from sd_app.inside.attention_words import (
    AttentionWords,
    agreement,
    attention_words,
    pooled,
    rank_correlation,
)
from sd_app.inside.look import Look
from sd_app.inside.prompt_words import FoundWords, words_in
from sd_app.inside.word_effects import WordEffects, word_effects
from sd_app.tiny import world

FULL, SIMPLE = "full", "simple"
STEPS, GUIDANCE = 25, 5.0
CELLS = 8  # along a side, of the places that are compared with runs and with attention
FUNCTION_WORDS = {"a", "an", "on", "the", "in", "at", ",", "by", "of"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A prompt and its noise; `parts` says which attribute a word states, by the word."""

    kind: str
    scene: world.Scene  # what the prompt states
    prompt: str
    seed: int
    parts: dict[str, str]

    @property
    def request(self) -> Txt2ImgRequest:
        return Txt2ImgRequest(
            prompt=self.prompt,
            seed=self.seed,
            scheduler="DDIM",
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
        )


def cases(per_kind: int = 60, *, seed: int = 20261127) -> list[Case]:
    """Return the fixed set, or its like of another seed and size."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(per_kind):
        flat = number < per_kind * 2 // 3
        scene = world.random_scene(rng, style="flat" if flat else None)
        found.append(_case(FULL, scene, world.plain_caption(scene), 5000 + number))
    for number in range(per_kind):
        scene = world.random_scene(rng, style="flat")
        article = world.indefinite_article(str(scene.color))
        prompt = f"{article} {scene.color} {scene.subject} {_background(scene)}"
        stated = world.Scene(
            subject=scene.subject,
            color=scene.color,
            background=scene.background,
            size=None,
            place=None,
            style=None,
        )
        found.append(_case(SIMPLE, stated, prompt, 7000 + number))
    return found


def _background(scene: world.Scene) -> str:
    name = str(scene.background)
    if name in world.SCENE_WORDS:
        return world.SCENE_WORDS[name][0]
    return f"on {world.indefinite_article(name)} {name} background"


def _case(kind: str, scene: world.Scene, prompt: str, seed: int) -> Case:
    parts = {str(scene.color): "color", str(scene.subject): "subject"}
    parts |= dict.fromkeys([*str(scene.background).split(), *_background(scene).split()], "background")
    if scene.size:
        parts[world.SIZE_WORDS[scene.size][0]] = "size"
    if scene.place:
        parts[world.PLACE_WORDS[scene.place][0].split()[-1]] = "place"
    if scene.style:
        parts |= dict.fromkeys(world.STYLE_WORDS[scene.style][0].split(), "style")
    for word in FUNCTION_WORDS:
        parts.pop(word, None)
    return Case(kind=kind, scene=scene, prompt=prompt, seed=seed, parts=parts)


@dataclass(kw_only=True, eq=False)
class Seen:
    """One case recorded, and its views of words."""

    case: Case
    look: Look
    found: FoundWords
    effects: WordEffects
    shows: world.Scene  # as the judge reads it

    @cached_property
    def attention(self) -> AttentionWords:
        return attention_words(self.look.recording, self.found)

    def part_of(self, label: str) -> str:
        """Return the attribute that a word states, "" for none."""
        return self.case.parts.get(label.split(" (")[0], "")

    def box(self, side: int) -> np.ndarray:
        """Return how much of each of side x side cells lies in the subject's box, 0..1."""
        half = 0.5 * world.SIZES[str(self.shows.size)]
        reach = 0.48 - half
        dx, dy = world.PLACES[str(self.shows.place)]
        edges = np.arange(side + 1) / side

        def covered(middle: float) -> np.ndarray:
            low, high = np.maximum(edges[:-1], middle - half), np.minimum(edges[1:], middle + half)
            return np.clip(high - low, 0, None) * side

        return covered(0.5 + dy * reach)[:, None] * covered(0.5 + dx * reach)[None, :]

    def centre(self, side: int) -> tuple[slice, slice]:
        """Return the two by two cells in the middle of the box."""
        half = 0.5 * world.SIZES[str(self.shows.size)]
        dx, dy = world.PLACES[str(self.shows.place)]
        row, column = (round((0.5 + d * (0.48 - half)) * side) for d in (dy, dx))
        return slice(row - 1, row + 1), slice(column - 1, column + 1)


def look_at(studio: Studio, cases: Sequence[Case], judge) -> Iterator[Seen]:
    """Record each case and work out what its words did."""
    for case in cases:
        recording = studio.record(case.request, features=False, keep=False)
        look = studio.look(recording)
        found = words_in(look)
        yield Seen(
            case=case,
            look=look,
            found=found,
            effects=word_effects(look, found=found),
            shows=judge.read([recording.decoded])[0],
        )


# -- what the effects name


def named_outside(seen: Seen) -> str:
    """Return the attribute of the word that did most outside the subject's box."""
    outside = 1 - seen.box(seen.effects.maps.shape[-1])
    return seen.part_of(seen.effects.labels[int((seen.effects.maps * outside).sum(axis=(1, 2)).argmax())])


def named_at_centre(seen: Seen) -> str:
    """Return the attribute of the word that did most in the middle of the subject's box."""
    rows, columns = seen.centre(seen.effects.maps.shape[-1])
    return seen.part_of(
        seen.effects.labels[int(seen.effects.maps[:, rows, columns].sum(axis=(1, 2)).argmax())]
    )


# -- what attention looks at


def density_ratio(maps: np.ndarray, box: np.ndarray) -> float:
    """Return a map's mass by area inside the box over that outside."""
    inside, outside = (float((maps * part).sum() / part.sum()) for part in (box, 1 - box))
    return inside / max(outside, 1e-12)


def attention_ratio(seen: Seen, part: str) -> float:
    """Return the density ratio of the word that states an attribute."""
    maps = seen.attention.maps
    chosen = [n for n, label in enumerate(seen.attention.labels) if seen.part_of(label) == part]
    return density_ratio(maps[chosen].sum(axis=0), seen.box(maps.shape[-1]))


def function_ratio(seen: Seen) -> float:
    """Return the median density ratio of the function words and commas behind the subject."""
    view, box = seen.attention, seen.box(seen.attention.maps.shape[-1])
    subject = next(n for n, label in enumerate(view.labels) if seen.part_of(label) == "subject")
    later = [
        n for n in range(subject + 1, len(view.labels)) if view.labels[n].split(" (")[0] in FUNCTION_WORDS
    ]
    return float(np.median([density_ratio(view.maps[n], box) for n in later])) if later else float("nan")


# -- what real runs say


@dataclass(kw_only=True, eq=False)
class Rerun:
    """The runs without each word of one case, beside what was foretold on the recorded steps."""

    seen: Seen
    maps: np.ndarray  # (words, 8, 8): mean difference of the pictures
    shows: list[world.Scene]  # without each word, as the judge reads it

    @property
    def same_word(self) -> float:
        """Return the share of places in which both name the same word."""
        local = pooled(self.seen.effects.maps, (CELLS, CELLS))
        return float((local.argmax(axis=0) == self.maps.argmax(axis=0)).mean())

    @property
    def order(self) -> float:
        """Return the rank correlation of the words' totals."""
        return rank_correlation(self.seen.effects.totals, self.maps.mean(axis=(1, 2)))

    @property
    def attention_same_word(self) -> float:
        """Return the share of places in which attention names the same word as the runs."""
        both = agreement(self.seen.effects, self.seen.attention)
        assert both
        return float((both.by_attention == self.maps.argmax(axis=0)).mean())

    def changed(self, part: str) -> tuple[bool, list[bool]]:
        """Tell whether taking out the word of an attribute changed it, and each other stated one."""
        case = self.seen.case
        word = next(n for n, label in enumerate(self.seen.effects.labels) if self.seen.part_of(label) == part)
        before, after = self.seen.shows, self.shows[word]
        others = [
            getattr(before, name) != getattr(after, name)
            for name in world.ATTRIBUTES
            if name != part and getattr(case.scene, name) is not None
        ]
        return getattr(before, part) != getattr(after, part), others


def run_without(seen: Seen, judge) -> Rerun:
    """Make the picture again without each word."""
    again = without_words(seen.look, seen.effects.words)
    maps = [_reduced(seen.look.recording.decoded, each.picture) for each in again]
    return Rerun(seen=seen, maps=np.stack(maps), shows=judge.read([each.picture for each in again]))


def _reduced(a: Image.Image, b: Image.Image) -> np.ndarray:
    pixels = [np.asarray(each.convert("RGB"), np.float32) for each in (a, b)]
    apart = np.abs(pixels[0] - pixels[1]).mean(axis=-1)
    side = apart.shape[0] // CELLS
    return apart.reshape(CELLS, side, CELLS, side).mean(axis=(1, 3))
