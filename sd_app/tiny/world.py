"""The picture world: what the embedded model can draw, and what it is told about each picture.

A `Scene` names six attributes; `drawing.render` draws it, `caption` describes it in varied words.
Everything else (training, evaluation, example prompts) speaks of pictures through these names only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..expressions.vocabulary import words_in

PICTURE_PIXELS = 128

T = TypeVar("T")

SUBJECTS = (
    *("circle", "square", "triangle", "star", "heart", "moon"),
    *("cat", "kitten", "dog", "bird", "fish"),
    *("house", "tree", "boat", "flower", "car"),
)
COLORS: dict[str, tuple[int, int, int]] = {
    "red": (216, 38, 38),
    "orange": (245, 135, 20),
    "yellow": (248, 214, 40),
    "green": (48, 160, 62),
    "blue": (40, 90, 215),
    "purple": (125, 50, 165),
    "pink": (246, 140, 182),
    "brown": (125, 76, 40),
    "black": (28, 28, 32),
    "white": (248, 248, 246),
    "gray": (140, 142, 146),
}
SCENES = ("sea", "beach", "night sky", "meadow", "snow", "sunset")
BACKGROUNDS = (*COLORS, *SCENES)
SIZES = {"small": 0.36, "medium": 0.50, "large": 0.66}  # the subject's width as a share of the picture's
PLACES = {"center": (0, 0), "left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}
STYLES = ("flat", "pencil sketch", "watercolor", "pixel art", "Edvard Munch")
FLAT_SHARE = 0.55
HELD_OUT_SHARE = 0.07

SUBJECT_WORDS = {
    **{name: (name,) for name in SUBJECTS},
    "circle": ("circle", "circle", "disc", "ball"),
    "square": ("square", "square", "box"),
    "heart": ("heart",),
    "moon": ("moon", "moon", "crescent moon"),
    "dog": ("dog", "dog", "dog", "puppy"),
    "house": ("house", "house", "house", "cottage"),
    "boat": ("boat", "boat", "sailboat", "ship"),
    "car": ("car", "car", "car", "automobile"),
}
COLOR_WORDS = {
    **{name: (name,) for name in COLORS},
    "purple": ("purple", "purple", "violet"),
    "gray": ("gray", "grey"),
}
SIZE_WORDS = {
    "small": ("small", "little", "tiny"),
    "medium": ("medium", "medium-sized"),
    "large": ("large", "big", "huge"),
}
PLACE_WORDS = {
    "center": ("in the middle", "in the center"),
    "left": ("on the left", "at the left"),
    "right": ("on the right", "at the right"),
    "top": ("at the top", "in the upper part"),
    "bottom": ("at the bottom", "in the lower part"),
}
SCENE_WORDS = {
    "sea": ("on the sea", "in the sea", "on the water", "in the ocean"),
    "beach": ("on the beach", "on a beach", "on the sand", "at the seaside"),
    "night sky": ("in the night sky", "at night", "under the stars", "in a starry night"),
    "meadow": ("on the grass", "on grass", "in a meadow", "on a green field"),
    "snow": ("in the snow", "on snow", "in winter"),
    "sunset": ("at sunset", "in the sunset", "in the evening"),
}
STYLE_WORDS = {
    "flat": ("flat style", "flat", "clip art"),
    "pencil sketch": ("pencil sketch", "pencil drawing", "sketch"),
    "watercolor": ("watercolor", "watercolor painting", "aquarelle"),
    "pixel art": ("pixel art", "8-bit pixel art"),
    "Edvard Munch": ("Edvard Munch style", "style of Edvard Munch", "painting by Edvard Munch"),
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Six attributes of a picture. None stands for "not stated" in what a caption says."""

    subject: str | None
    color: str | None
    background: str | None
    size: str | None = "medium"
    place: str | None = "center"
    style: str | None = "flat"


ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "subject": SUBJECTS,
    "color": tuple(COLORS),
    "background": BACKGROUNDS,
    "size": tuple(SIZES),
    "place": tuple(PLACES),
    "style": STYLES,
}
NOT_STATED = -1


def to_indices(scene: Scene) -> list[int]:
    """A scene as six indices into `ATTRIBUTES`, `NOT_STATED` where it says nothing."""
    return [
        NOT_STATED if getattr(scene, name) is None else names.index(getattr(scene, name))
        for name, names in ATTRIBUTES.items()
    ]


def from_indices(indices: list[int] | NDArray[np.int8]) -> Scene:
    """The inverse of `to_indices`."""
    pairs = zip(ATTRIBUTES.items(), indices, strict=True)
    return Scene(**{name: None if i == NOT_STATED else names[int(i)] for (name, names), i in pairs})


def is_held_out(scene: Scene) -> bool:
    """Whether this subject-colour-background triple is kept out of every training picture and caption."""
    key = f"{scene.subject}|{scene.color}|{scene.background}".encode()
    return hashlib.sha256(key).digest()[0] < round(256 * HELD_OUT_SHARE)


def random_scene(
    rng: np.random.Generator, *, held_out: bool | None = False, style: str | None = None
) -> Scene:
    """Draw a scene: of the training triples (`held_out` False), of the others (True), or any (None)."""
    while True:
        color = _choose(rng, tuple(COLORS))
        background = _choose(rng, SCENES) if rng.random() < 0.45 else _choose(rng, tuple(COLORS))
        scene = Scene(
            subject=_choose(rng, SUBJECTS),
            color=color,
            background=background,
            size=_choose(rng, tuple(SIZES)),
            place=_choose(rng, tuple(PLACES)),
            style=style or ("flat" if rng.random() < FLAT_SHARE else _choose(rng, STYLES[1:])),
        )
        if color != background and held_out in (None, is_held_out(scene)):
            return scene


def _choose(rng: np.random.Generator, options: tuple[T, ...]) -> T:
    return options[int(rng.integers(len(options)))]


# --- captions ---------------------------------------------------------------------------------------------


def caption(scene: Scene, rng: np.random.Generator, *, full: bool = False) -> tuple[str, Scene]:
    """Describe a scene. Returns the words and what they state; `full` leaves nothing out.

    A style other than flat is nearly always stated, so that a prompt without a style means flat.
    """
    chances = {"subject": 0.98, "color": 0.93, "background": 0.88, "size": 0.5, "place": 0.5}
    chances["style"] = 0.35 if scene.style == "flat" else 0.97
    kept = [f.name for f in fields(scene) if full or rng.random() < chances[f.name]]
    stated = replace(scene, **{f.name: None for f in fields(scene) if f.name not in kept})
    return _sentence(stated, rng), stated


def caption_words(count: int = 20_000) -> list[str]:
    """Return all words of the training captions, sorted: none is rarer than one caption in a hundred."""
    rng = np.random.default_rng(0)
    return sorted({word for _ in range(count) for word in words_in(caption(random_scene(rng), rng)[0])})


def plain_caption(scene: Scene) -> str:
    """The one sentence the captioner prefers: all six attributes, each in its first word, in one order.

    "a small red cat on the left on the beach, watercolor". The scene must state them all.
    """
    places = {name: words[0] for name, words in PLACE_WORDS.items()}
    scenes = {name: words[0] for name, words in SCENE_WORDS.items()}
    colors = {name: f"on {indefinite_article(name)} {name} background" for name in COLORS}
    background = (scenes | colors)[str(scene.background)]
    size = SIZE_WORDS[str(scene.size)][0]
    style = STYLE_WORDS[str(scene.style)][0]
    return f"a {size} {scene.color} {scene.subject} {places[str(scene.place)]} {background}, {style}"


def indefinite_article(word: str) -> str:
    """Return "an" before an o, the one vowel that a colour here begins with, else "a"."""
    return "an" if word[0] == "o" else "a"


def _sentence(stated: Scene, rng: np.random.Generator) -> str:
    adjectives = []
    if stated.size:
        adjectives.append(_choose(rng, SIZE_WORDS[stated.size]))
    if stated.color:
        adjectives.append(_choose(rng, COLOR_WORDS[stated.color]))
    noun = _choose(rng, SUBJECT_WORDS[stated.subject]) if stated.subject else "thing"
    article = "a" if rng.random() < 0.9 else "the"
    core = " ".join([article, *adjectives, noun]) if rng.random() < 0.9 else " ".join([*adjectives, noun])
    if article == "a" and core.startswith("a o"):
        core = "an" + core[1:]

    details = []
    if stated.place:
        details.append(_choose(rng, PLACE_WORDS[stated.place]))
    if stated.background:
        details.append(_background_words(stated.background, rng))
    rng.shuffle(details)
    comma = ", " if rng.random() < 0.4 else " "
    text = comma.join([core, *details])
    if rng.random() < 0.1 and stated.background in SCENE_WORDS and len(details) == 1:
        text = f"{details[0]}, {core}"

    if not stated.style:
        opening = ("", "", "", "a picture of ", "a drawing of ", "an image of ")
        return _choose(rng, opening) + text
    words = _choose(rng, STYLE_WORDS[stated.style])
    munch = stated.style == "Edvard Munch"
    if munch and not words.startswith("painting"):
        return _choose(rng, (f"{text}, in {words}", f"{text} in {words}", f"{text} in the {words}"))
    article = "an" if words[0] in "a8" else "a"
    drawing = {"flat style": "a flat style drawing of ", "flat": "a flat picture of "}.get(
        words, f"{article} {words} of "
    )
    return _choose(
        rng,
        (f"{text}, {words}", f"{words}, {text}", text + ", " + words)
        if munch
        else (f"{text}, {words}", drawing + text),
    )


def _background_words(background: str, rng: np.random.Generator) -> str:
    if background in SCENE_WORDS:
        return _choose(rng, SCENE_WORDS[background])
    color = _choose(rng, COLOR_WORDS[background])
    backdrop = f"on {indefinite_article(color)} {color} background"
    return _choose(rng, (backdrop, backdrop, f"on {color}"))
