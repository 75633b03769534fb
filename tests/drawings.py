"""The drawings that the embedded models learned from: python -m tests.drawings writes them anew.

That is right only where the drawings shall change, or where a new Pillow draws otherwise.
"""

import hashlib
import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from sd_app.tiny import drawing, world

FILE = Path(__file__).with_suffix(".json")
PLAIN = world.Scene(
    subject="cat", color="red", background="white", style="flat", size="medium", place="center"
)


def scenes() -> dict[str, world.Scene]:
    """Return scenes with each subject, background, colour, size and place, and each style of three."""
    found = [replace(PLAIN, subject=name) for name in world.SUBJECTS]
    found += [replace(PLAIN, background=name) for name in world.BACKGROUNDS]
    found += [replace(PLAIN, color=name) for name in world.COLORS]
    found += [replace(PLAIN, size=size, place=place) for size, place in product(world.SIZES, world.PLACES)]
    for style, subject in product(world.STYLES, ("house", "fish", "star")):
        found.append(replace(PLAIN, style=style, subject=subject, background="sunset"))
    return {", ".join(str(getattr(scene, name)) for name in world.ATTRIBUTES): scene for scene in found}


def digest(scene: world.Scene) -> str:
    """Return what tells a drawing from any other."""
    return hashlib.sha256(drawing.render(scene, np.random.default_rng(0)).tobytes()).hexdigest()[:12]


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: digest(scene) for name, scene in scenes().items()}, indent=0) + "\n")
