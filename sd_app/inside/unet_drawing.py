"""A drawing of the U-Net: a row for each level, the way down on the left, the way up on the right.

One layout, drawn as SVG for the page and as PNG for files. A box is a part, a line between them a skip.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from PIL import Image, ImageDraw

from .sheets import font
from .unet_parts import ATTENTION, CONV, DOWN, RESNET, UP, Part, Skip, UNetParts

WIDTH, HEIGHT = 60, 44  # of a box
_GAP, _BETWEEN, _MARGIN, _TOP = 6, 40, 8, 26  # beside a box, between the levels, around all, above the first
_SIDE = 74  # for what is written beside a level
_MIDDLE = 40  # between the way down and the way up

COLORS: Mapping[str, str] = {
    CONV: "#d9d9d9",
    RESNET: "#f6c667",
    ATTENTION: "#9cc9ec",
    DOWN: "#c9b6e4",
    UP: "#b7ddb0",
}
SHORT: Mapping[str, str] = {
    CONV: "conv",
    RESNET: "resnet",
    ATTENTION: "attention",
    DOWN: "halve",
    UP: "double",
}


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part's place in the drawing, in pixels."""

    part: Part
    left: int
    top: int

    @property
    def lines(self) -> tuple[str, str]:
        """Return what is written in it."""
        first = SHORT.get(self.part.kind, self.part.kind)
        layers = self.part.cross_layers or self.part.self_layers
        return (f"attn ×{layers}" if layers > 1 else first), f"{self.part.gives[0]}"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A skip's way through the drawing: down out of a box, along below its level, up into another."""

    skip: Skip
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Where everything stands."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    levels: tuple[tuple[str, int], ...]  # what is written beside a level, and its top
    title: str


def draw(parts: UNetParts) -> Drawing:
    """Lay a U-Net out."""
    rows: list[dict[str, list[Part]]] = [{"down": [], "mid": [], "up": []} for _ in parts.levels]
    for part in parts.parts:
        rows[parts.level(part)][part.half].append(part)
    step = WIDTH + _GAP
    left_most = max(len(row["down"]) for row in rows)
    right_most = max(len(row["up"]) for row in rows)
    middle = max(len(row["mid"]) for row in rows)
    at_mid = _MARGIN + _SIDE + left_most * step + _MIDDLE
    at_up = at_mid + (middle * step + _MIDDLE if middle else 0)
    # Below a level there is a lane for each skip that leaves it.
    lanes = Counter(parts.level(parts.by_name[skip.target]) for skip in parts.skips)
    boxes: list[Box] = []
    levels: list[tuple[str, int]] = []
    top = _MARGIN + _TOP
    for number, row in enumerate(rows):
        height, width = parts.levels[number]
        levels.append((f"{height} × {width}", top))
        for half, left in (("down", _MARGIN + _SIDE), ("mid", at_mid), ("up", at_up)):
            boxes += [
                Box(part=part, left=left + place * step, top=top) for place, part in enumerate(row[half])
            ]
        top += HEIGHT + max(_BETWEEN, 14 + 9 * lanes[number])
    return Drawing(
        width=at_up + right_most * step - _GAP + _MARGIN,
        height=top - _GAP,
        boxes=tuple(boxes),
        lines=tuple(_lines(parts, {box.part.name: box for box in boxes})),
        levels=tuple(levels),
        title=title_of(parts),
    )


def _lines(parts: UNetParts, boxes: Mapping[str, Box]) -> list[Line]:
    found: list[Line] = []
    used: dict[int, int] = {}
    for skip in parts.skips:
        if skip.source not in boxes or skip.target not in boxes:
            continue
        source, target = boxes[skip.source], boxes[skip.target]
        lane = used[target.top] = used.get(target.top, 0) + 1
        low = target.top + HEIGHT + 9 * lane
        at, to = source.left + WIDTH // 2, target.left + WIDTH // 2
        found.append(
            Line(
                skip=skip,
                points=((at, source.top + HEIGHT), (at, low), (to, low), (to, target.top + HEIGHT)),
            )
        )
    return found


def title_of(parts: UNetParts) -> str:
    """Say in one line what the drawing holds."""
    first, last = parts.parts[0], parts.parts[-1]
    return (
        f"{first.reads[0]} channels in, {last.gives[0]} out, {len(parts.levels)} levels,"
        f" {len(parts.skips)} skips, {parts.num_weights:,} weights"
        f" ({parts.rest:,} of them outside these parts)"
    )


def svg(drawing: Drawing) -> str:
    """Return the drawing as SVG: each box has its part's name in data-part, each line its skip's source."""
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width} {drawing.height}"'
        f' width="{drawing.width}" height="{drawing.height}" role="group"'
        f' aria-label="{escape(drawing.title)}">'
    ]
    for line in drawing.lines:
        path = "M" + " L".join(f"{x} {y}" for x, y in line.points)
        pieces.append(
            f'<path class="skip" data-skip="{escape(line.skip.source)}" d="{path}" fill="none"'
            ' stroke="currentColor" stroke-opacity="0.55" stroke-width="1.5"/>'
        )
    pieces += [
        f'<text x="{_MARGIN}" y="{top + HEIGHT // 2 + 4}" font-size="12" fill="currentColor">{text}</text>'
        for text, top in drawing.levels
    ]
    for box in drawing.boxes:
        said, color = escape(box.part.sentence), COLORS.get(box.part.kind, "#eeeeee")
        written = [
            f'<text x="{box.left + WIDTH // 2}" y="{box.top + 18 + 16 * number}" font-size="11"'
            f' text-anchor="middle" fill="#111111">{escape(text)}</text>'
            for number, text in enumerate(box.lines)
        ]
        pieces += [
            f'<g class="part" data-part="{escape(box.part.name)}" tabindex="0" role="button"'
            f' aria-label="{said}"><title>{said}</title>',
            f'<rect x="{box.left}" y="{box.top}" width="{WIDTH}" height="{HEIGHT}" rx="4"'
            f' fill="{color}" stroke="#555555"/>',
            *written,
            "</g>",
        ]
    return "".join([*pieces, "</svg>"])


def picture(drawing: Drawing) -> Image.Image:
    """Return the drawing as a picture on white."""
    page = Image.new("RGB", (drawing.width, drawing.height), "white")
    pen = ImageDraw.Draw(page)
    pen.text((_MARGIN, _MARGIN), drawing.title, fill="black", font=font())
    for line in drawing.lines:
        pen.line(line.points, fill="#777777", width=1)
    for text, top in drawing.levels:
        pen.text((_MARGIN, top + HEIGHT // 2 - 7), text, fill="black", font=font())
    for box in drawing.boxes:
        corners = (box.left, box.top, box.left + WIDTH, box.top + HEIGHT)
        pen.rounded_rectangle(corners, radius=4, fill=COLORS.get(box.part.kind, "#eeeeee"), outline="#555555")
        for number, text in enumerate(box.lines):
            at = box.left + WIDTH / 2, box.top + 6 + 17 * number
            pen.text(at, text, fill="black", font=font(), anchor="ma")
    return page
