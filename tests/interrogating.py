"""What the interrogator's tests share: pictures that no model was trained on, and what they show."""

import re

import numpy as np
from PIL import Image

from sd_app.tiny import drawing, world

SEED = 77


def held_out(index: int) -> tuple[Image.Image, world.Scene]:
    """Return a picture of a triple that was kept out of training, and what it shows."""
    rng = np.random.default_rng((SEED, index))
    scene = world.random_scene(rng, held_out=True)
    return drawing.render(scene, rng), scene


def names_the_thing(prompt: str, scene: world.Scene) -> bool:
    """Tell whether a prompt speaks of the picture's subject in its colour, "a red cat" say."""
    assert scene.color is not None
    assert scene.subject is not None
    colors = "|".join(world.COLOR_WORDS[scene.color])
    subjects = "|".join(world.SUBJECT_WORDS[scene.subject])
    return re.search(rf"\b({colors}) ({subjects})\b", prompt) is not None
