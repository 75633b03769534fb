"""The figures of the picture world, drawn by a pen that knows size, place and style."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from .world import PLACES, SIZES, Scene

SUPERSAMPLING = 4
Color = tuple[int, int, int]
Point = tuple[float, float]


def jittered(color: Color, rng: np.random.Generator, amount: int = 7) -> Color:
    """Return a colour with each channel moved by at most `amount` of 255."""
    shifted = np.clip(np.array(color) + rng.integers(-amount, amount + 1, 3), 0, 255)
    return int(shifted[0]), int(shifted[1]), int(shifted[2])


def mix(a: Color, b: Color, t: float) -> Color:
    """Return the colour at t in [0, 1] on the way from a to b."""
    red, green, blue = (round(x + t * (y - x)) for x, y in zip(a, b, strict=True))
    return red, green, blue


class Pen:
    """Draws in the subject's own coordinates: x to the right, y down, the subject within [-1, 1]."""

    def __init__(self, picture: Image.Image, scene: Scene, base: Color, rng: np.random.Generator) -> None:
        self.draw = ImageDraw.Draw(picture)
        half = 0.5 * SIZES[scene.size or "medium"] * float(rng.uniform(0.96, 1.04))
        reach = 0.48 - half
        dx, dy = PLACES[scene.place or "center"]
        shift = rng.uniform(-0.02, 0.02, 2)
        self.x = (0.5 + dx * reach + shift[0]) * picture.width
        self.y = (0.5 + dy * reach + shift[1]) * picture.width
        self.scale = half * picture.width
        self.is_pencil = scene.style == "pencil sketch"
        self.fill = mix(base, (252, 251, 246), 0.22) if self.is_pencil else base
        if scene.style == "watercolor":
            self.fill = mix(base, (255, 255, 255), 0.12)
        # A dark subject gets a lighter ink: its features must stay visible.
        is_dark = sum(base) < 150
        self.ink = (118, 118, 128) if is_dark else mix(base, (20, 16, 24), 0.62)
        if self.is_pencil:
            self.ink = (150, 150, 156) if is_dark else (66, 64, 70)
        self.shade = mix(self.fill, (90, 90, 100) if is_dark else (20, 16, 24), 0.28)
        self.light = mix(self.fill, (255, 255, 255), 0.5)
        self.line_width = max(SUPERSAMPLING, round(0.018 * picture.width * (1.25 if self.is_pencil else 1)))

    def _points(self, points: list[Point]) -> list[Point]:
        return [(self.x + x * self.scale, self.y + y * self.scale) for x, y in points]

    def polygon(self, points: list[Point], fill: Color | None = None) -> None:
        """Fill a closed shape and draw its outline in ink."""
        corners = self._points(points)
        self.draw.polygon(corners, fill=fill or self.fill)
        self.draw.line(
            [*corners, corners[0], corners[1]], fill=self.ink, width=self.line_width, joint="curve"
        )

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        fill: Color | None = None,
        *,
        ink: bool = True,
    ) -> None:
        """Fill an ellipse around (x, y) of radii rx and ry, outlined in ink unless told otherwise."""
        (left, top), (right, bottom) = self._points([(x - rx, y - ry), (x + rx, y + ry)])
        box = (left, top, right, bottom)
        self.draw.ellipse(
            box, fill=fill or self.fill, outline=self.ink if ink else None, width=self.line_width
        )

    def line(self, points: list[Point], width: float = 1.0, fill: Color | None = None) -> None:
        """Draw an open line, `width` times as wide as an outline, in ink unless told otherwise."""
        self.draw.line(
            self._points(points), fill=fill or self.ink, width=round(self.line_width * width), joint="curve"
        )

    def eye(self, x: float, y: float, radius: float) -> None:
        """Draw a white eye with a dark pupil."""
        self.ellipse(x, y, radius, radius, (255, 255, 255), ink=False)
        self.ellipse(x, y, radius * 0.55, radius * 0.6, (16, 16, 20), ink=False)


def _curve(function: Callable[[float], Point], start: float, end: float, count: int = 48) -> list[Point]:
    return [function(start + (end - start) * k / count) for k in range(count + 1)]


def _circle(pen: Pen) -> None:
    pen.ellipse(0, 0, 0.95, 0.95)


def _square(pen: Pen) -> None:
    pen.polygon([(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)])


def _triangle(pen: Pen) -> None:
    pen.polygon([(0, -0.95), (1.0, 0.85), (-1.0, 0.85)])


def _star(pen: Pen) -> None:
    radii = [1.0, 0.42] * 5
    turns = [math.tau * k / 10 - math.pi / 2 for k in range(10)]
    pen.polygon([(r * math.cos(a), r * math.sin(a) + 0.08) for r, a in zip(radii, turns, strict=True)])


def _heart(pen: Pen) -> None:
    def edge(t: float) -> Point:
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        return math.sin(t) ** 3 * 1.0, -y / 16 - 0.1

    pen.polygon(_curve(edge, 0, math.tau, 60)[:-1])


def _moon(pen: Pen) -> None:
    outer = _curve(
        lambda a: (0.2 + 0.95 * math.cos(a), 0.95 * math.sin(a)), math.radians(65), math.radians(295)
    )
    tip_x, tip_y = outer[-1]
    center = 0.2 + 0.48
    radius = math.hypot(tip_x - center, tip_y)
    turn = math.atan2(tip_y, tip_x - center) % math.tau
    inner = _curve(lambda a: (center + radius * math.cos(a), radius * math.sin(a)), turn, math.tau - turn)
    pen.polygon(outer + inner[1:-1])


def _cat(pen: Pen) -> None:
    """A grown cat from the side: long body, tail up, pointed ears."""
    pen.line(_curve(lambda t: (-0.72 - 0.22 * math.sin(t * 3.0), 0.2 - 0.95 * t), 0, 1, 16), 3.2)
    pen.line(_curve(lambda t: (-0.72 - 0.22 * math.sin(t * 3.0), 0.2 - 0.93 * t), 0, 1, 16), 1.7, pen.fill)
    for x in (-0.66, -0.42, 0.2, 0.44):
        pen.polygon([(x - 0.1, 0.4), (x + 0.1, 0.4), (x + 0.1, 0.95), (x - 0.1, 0.95)])
    pen.ellipse(-0.1, 0.3, 0.75, 0.36)
    pen.polygon([(0.2, -0.35), (0.26, -0.95), (0.55, -0.6)])
    pen.polygon([(0.66, -0.6), (0.94, -0.95), (1.0, -0.35)])
    pen.ellipse(0.6, -0.22, 0.42, 0.4)
    pen.eye(0.46, -0.28, 0.12)
    pen.eye(0.76, -0.28, 0.12)
    pen.polygon([(0.55, -0.1), (0.67, -0.1), (0.61, -0.02)], (235, 120, 140))


def _kitten(pen: Pen) -> None:
    """A kitten from the front: huge head and eyes, small sitting body."""
    pen.ellipse(0, 0.66, 0.42, 0.34)
    pen.ellipse(-0.2, 0.9, 0.17, 0.1)
    pen.ellipse(0.2, 0.9, 0.17, 0.1)
    pen.polygon([(-0.76, -0.3), (-0.7, -1.0), (-0.16, -0.7)])
    pen.polygon([(0.76, -0.3), (0.7, -1.0), (0.16, -0.7)])
    pen.ellipse(0, -0.14, 0.8, 0.64)
    pen.eye(-0.34, -0.16, 0.25)
    pen.eye(0.34, -0.16, 0.25)
    pen.polygon([(-0.09, 0.14), (0.09, 0.14), (0, 0.26)], (235, 120, 140))


def _dog(pen: Pen) -> None:
    """A dog from the side: snout, hanging ear, short tail."""
    pen.polygon([(-0.7, 0.05), (-1.0, -0.3), (-0.88, -0.4), (-0.55, -0.1)])
    for x in (-0.62, -0.36, 0.14, 0.4):
        pen.polygon([(x - 0.12, 0.3), (x + 0.12, 0.3), (x + 0.12, 0.95), (x - 0.12, 0.95)])
    pen.polygon([(-0.8, -0.15), (0.5, -0.15), (0.5, 0.5), (-0.8, 0.5)])
    pen.polygon([(0.5, -0.52), (1.0, -0.42), (1.0, -0.1), (0.5, -0.05)])
    pen.polygon([(0.1, -0.85), (0.66, -0.85), (0.66, 0.05), (0.1, 0.05)])
    pen.polygon([(0.02, -0.9), (0.32, -0.86), (0.26, -0.1), (0.0, -0.16)], pen.shade)
    pen.eye(0.5, -0.56, 0.13)
    pen.ellipse(0.96, -0.36, 0.1, 0.1, (22, 20, 24), ink=False)


def _bird(pen: Pen) -> None:
    pen.polygon([(-0.5, 0.0), (-1.0, -0.32), (-1.0, 0.22)])
    pen.line([(-0.1, 0.5), (-0.1, 0.95)], 1.3)
    pen.line([(0.14, 0.5), (0.14, 0.95)], 1.3)
    pen.ellipse(-0.02, 0.16, 0.66, 0.46)
    pen.polygon([(0.78, -0.5), (1.0, -0.32), (0.74, -0.2)], (250, 170, 30))
    pen.ellipse(0.46, -0.38, 0.38, 0.38)
    pen.polygon([(-0.42, 0.02), (0.3, 0.06), (-0.14, 0.46)], pen.shade)
    pen.eye(0.54, -0.44, 0.13)


def _fish(pen: Pen) -> None:
    pen.polygon([(-0.42, 0.0), (-1.0, -0.55), (-0.84, 0.0), (-1.0, 0.55)])
    pen.polygon([(-0.2, -0.4), (0.1, -0.82), (0.42, -0.4)], pen.shade)
    pen.ellipse(0.2, 0.0, 0.78, 0.5)
    pen.line(_curve(lambda a: (0.16 + 0.3 * math.cos(a), 0.4 * math.sin(a)), -1.0, 1.0, 16))
    pen.eye(0.66, -0.12, 0.14)


def _house(pen: Pen) -> None:
    pen.polygon([(-0.75, -0.1), (0.75, -0.1), (0.75, 0.92), (-0.75, 0.92)])
    pen.polygon([(-0.98, -0.1), (0, -0.95), (0.98, -0.1)], pen.shade)
    pen.polygon([(-0.16, 0.35), (0.2, 0.35), (0.2, 0.92), (-0.16, 0.92)], pen.ink)
    for x in (-0.56, 0.34):
        pen.polygon([(x, 0.1), (x + 0.26, 0.1), (x + 0.26, 0.36), (x, 0.36)], (255, 244, 190))


def _tree(pen: Pen) -> None:
    pen.polygon([(-0.16, 0.2), (0.16, 0.2), (0.2, 0.97), (-0.2, 0.97)], (112, 72, 44))
    pen.ellipse(-0.42, 0.0, 0.46, 0.42)
    pen.ellipse(0.42, 0.0, 0.46, 0.42)
    pen.ellipse(0, -0.45, 0.54, 0.5)
    pen.ellipse(0, -0.08, 0.5, 0.36, ink=False)


def _boat(pen: Pen) -> None:
    pen.line([(0, 0.4), (0, -0.96)], 1.8)
    pen.polygon([(0.1, -0.9), (0.1, 0.26), (0.8, 0.26)])
    pen.polygon([(-0.1, -0.7), (-0.1, 0.26), (-0.66, 0.26)], pen.light)
    pen.polygon([(-1.0, 0.4), (1.0, 0.4), (0.62, 0.92), (-0.66, 0.92)])


def _flower(pen: Pen) -> None:
    pen.line([(0, 0.1), (0, 0.97)], 2.4, (50, 130, 56))
    pen.ellipse(0.26, 0.68, 0.26, 0.12, (62, 150, 66))
    for k in range(5):
        turn = math.tau * k / 5 - math.pi / 2
        pen.ellipse(0.42 * math.cos(turn), 0.42 * math.sin(turn) - 0.22, 0.33, 0.33)
    pen.ellipse(0, -0.22, 0.24, 0.24, (250, 214, 60) if sum(pen.fill) < 560 else (120, 80, 40))


def _car(pen: Pen) -> None:
    pen.polygon([(-0.56, 0.05), (-0.36, -0.46), (0.3, -0.46), (0.62, 0.05)])
    pen.polygon([(-0.4, 0.0), (-0.28, -0.32), (-0.04, -0.32), (-0.04, 0.0)], (206, 232, 248))
    pen.polygon([(0.08, 0.0), (0.08, -0.32), (0.24, -0.32), (0.44, 0.0)], (206, 232, 248))
    pen.polygon([(-1.0, 0.02), (0.86, 0.02), (1.0, 0.2), (1.0, 0.5), (-1.0, 0.5)])
    for x in (-0.54, 0.56):
        pen.ellipse(x, 0.5, 0.26, 0.26, (40, 40, 44))
        pen.ellipse(x, 0.5, 0.11, 0.11, (190, 190, 196), ink=False)


DRAWERS: dict[str, Callable[[Pen], None]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "moon": _moon,
    "cat": _cat,
    "kitten": _kitten,
    "dog": _dog,
    "bird": _bird,
    "fish": _fish,
    "house": _house,
    "tree": _tree,
    "boat": _boat,
    "flower": _flower,
    "car": _car,
}
