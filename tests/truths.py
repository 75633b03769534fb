"""How true the interrogator's phrases are: pictures whose truth is known, captions that are partly wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from PIL import Image

from sd_app.tiny import drawing, world
from sd_app.tiny.caption_reader import read_caption

ATTRIBUTES = tuple(field.name for field in fields(world.Scene))


@dataclass
class Tally:
    """What phrases said of many pictures, added up."""

    pictures: int = 0
    phrases: int = 0
    true: int = 0
    missing: int = 0  # attributes that the captions do not state rightly
    told: int = 0  # of these, stated by a true phrase
    cosine: float = 0.0

    def add(self, scene: world.Scene, caption: str, phrases: Sequence[str], cosine: float) -> None:
        """Count one picture's phrases."""
        missing = {name for name, value in stated(caption).items() if getattr(scene, name) == value}
        missing = set(ATTRIBUTES) - missing
        true = [phrase for phrase in phrases if is_true(phrase, scene)]
        self.pictures += 1
        self.phrases += len(phrases)
        self.true += len(true)
        self.missing += len(missing)
        self.told += len(missing & {name for phrase in true for name in stated(phrase)})
        self.cosine += cosine

    @property
    def precision(self) -> float:
        """Return the share of phrases that are true; 1 without phrases."""
        return self.true / self.phrases if self.phrases else 1.0

    @property
    def recall(self) -> float:
        """Return the share of missing attributes that a true phrase states; 1 if none is missing."""
        return self.told / self.missing if self.missing else 1.0

    @property
    def false_each(self) -> float:
        """Return the false phrases a picture."""
        return (self.phrases - self.true) / max(self.pictures, 1)


def drawn(seed: int, index: int) -> tuple[Image.Image, world.Scene]:
    """Return a picture of a triple that was kept out of training, and what it shows."""
    rng = np.random.default_rng((seed, index))
    scene = world.random_scene(rng, held_out=True)
    return drawing.render(scene, rng), scene


def stated(text: str) -> dict[str, str]:
    """Return the attributes that a text states."""
    scene = read_caption(text)
    return {name: value for name in ATTRIBUTES if (value := getattr(scene, name)) is not None}


def is_true(phrase: str, scene: world.Scene) -> bool:
    """Tell whether all that a phrase states is so, and it states something: a thing, colour and subject."""
    found = stated(phrase)
    return bool(found) and all(getattr(scene, name) == value for name, value in found.items())


def partly_wrong(scene: world.Scene, seed: int, index: int) -> str:
    """Return a caption with two attributes changed and two others, not the subject, left unsaid."""
    rng = np.random.default_rng((seed, index, 1))
    names = list(map(str, rng.permutation(ATTRIBUTES)))
    unsaid = [name for name in names if name != "subject"][:2]
    said = replace(scene, **dict.fromkeys(unsaid))
    for name in [name for name in names if name not in unsaid][:2]:
        others = [value for value in world.ATTRIBUTES[name] if value != getattr(scene, name)]
        said = replace(said, **{name: others[int(rng.integers(len(others)))]})
    return world._sentence(said, rng)
