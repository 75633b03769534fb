"""Arithmetic with prompts: a blend, a walk between two, a plane, and where a walk jumps. Plain data."""

from dataclasses import dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ..checks import check_bool, check_choice, check_float, check_int, shown
from ..expressions import METHODS, SPACES, Words, parse_expression, parse_prompt
from ..expressions.tags import TAG, remove_tags
from .making import Txt2ImgRequest, Txt2ImgResult
from .text import Encoding, NearWord

if TYPE_CHECKING:
    import numpy as np

PLACE = "{}"  # where the expression goes in a prompt
MAX_FRAMES = 400
MAX_FPS = 60
MAX_STRETCH = 100.0  # of a plane's columns
FILMS = ("none", "mp4", "webp")
JUMP_WIDTH = 1 / 1024  # to which bisect narrows a jump
PARTED = 0.25  # RMS distance of predicted x0 in latent units from which two runs count as parted
STRIP_FRAMES = 10

SMALL_CHANGE, BRANCH_EARLY, DIFFER_AT_THE_END = "small change", "branch early", "differ at the end"
MEANINGS = {
    SMALL_CHANGE: f"The two end less than {PARTED} apart: nearly the same picture.",
    BRANCH_EARLY: "They part in the first half of the steps, where composition and subject are decided.",
    DIFFER_AT_THE_END: "They part in the second half of the steps: the same composition, other details.",
}


@dataclass(frozen=True, kw_only=True)
class ArithmeticRequest(Txt2ImgRequest):
    """What the requests below share: a prompt with `{}` where the expression goes, and a space for it.

    `space` is "all" (all rows of the encoder's output), "row" (the slot's rows alone) or "input" (token
    vectors before the encoder).
    """

    prompt: str = PLACE
    space: str = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_images != 1:
            raise ValueError(f"num_images must be 1 here, got {self.num_images} (ask for one at a time)")

    def _check_slots(self) -> None:
        check_choice("space", self.space, SPACES)
        if self.prompt.count(PLACE) != 1:
            raise ValueError(
                f"prompt must hold {PLACE} once, where the words go, got {shown(self.prompt)}"
                " (for instance: a drawing of {})"
            )
        parse_prompt(self.prompt.replace(PLACE, ""))
        parse_prompt(self.negative_prompt, "negative_prompt")

    def prompt_of(self, expression: str) -> str:
        """Return the prompt with an expression in its place: what txt2img is asked."""
        prefix = "" if self.space == "all" else f"{self.space}: "
        return self.prompt.replace(PLACE, f"{{{prefix}{expression}}}")

    def picture_of(self, prompt: str) -> Txt2ImgRequest:
        """Return the request of one picture, as it is saved in its file."""
        values = {field.name: getattr(self, field.name) for field in fields(Txt2ImgRequest)}
        return Txt2ImgRequest(**values | {"prompt": prompt})


@dataclass(frozen=True, kw_only=True)
class BlendRequest(ArithmeticRequest):
    """Ask for pictures of an expression, such as `cat + 0.43*tabby`, put where the prompt has `{}`."""

    expression: str

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_expression("expression", self.expression)
        parse_prompt(self.blended_prompt)

    @property
    def blended_prompt(self) -> str:
        return self.prompt_of(self.expression)


@dataclass(frozen=True, kw_only=True)
class WalkRequest(ArithmeticRequest):
    """Ask for pictures on the way from `a` to `b`, two expressions; all begin with the same noise.

    `frames` of them at even distances, or at the places `ts`, 0..1 each and not falling. With `bisect` the
    largest jump is then narrowed down to a width of 1/1024.
    """

    a: str
    b: str
    frames: int = 9
    ts: tuple[float, ...] = ()  # instead of even distances
    method: str = "lerp"
    bisect: bool = False
    film: str = "mp4"  # what is saved beside the pictures: "mp4", "webp" or "none"
    fps: int = 8  # frames a second of the film

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("frames", self.frames, 2, MAX_FRAMES)
        check_choice("method", self.method, METHODS)
        check_choice("film", self.film, FILMS)
        check_int("fps", self.fps, 1, MAX_FPS)
        check_bool("bisect", self.bisect)
        self._check_ts()
        _check_expression("a", self.a)
        _check_expression("b", self.b)
        parse_prompt(self.frame_prompt(0.5))

    def _check_ts(self) -> None:
        if not isinstance(self.ts, tuple | list) or len(self.ts) == 1 or len(self.ts) > MAX_FRAMES:
            raise ValueError(f"ts must be 2 to {MAX_FRAMES} numbers, got {shown(self.ts)} (or none: even)")
        for t in self.ts:
            check_float("ts", t, 0.0, 1.0)
        object.__setattr__(self, "ts", tuple(map(float, self.ts)))
        if list(self.ts) != sorted(self.ts):
            raise ValueError(f"ts must not fall, got {shown(self.ts)} (sort them)")
        if self.bisect and self.ts and self.ts[0] == self.ts[-1]:
            raise ValueError(f"ts must hold two places to look for a jump between, got {shown(self.ts)}")

    @property
    def places(self) -> tuple[float, ...]:
        """Return where on the way each frame is, 0..1."""
        return self.ts or tuple(index / (self.frames - 1) for index in range(self.frames))

    @property
    def num_pictures(self) -> int:
        return len(self.places)

    @property
    def number_field(self) -> str:
        return "frames"

    def frame_prompt(self, t: float) -> str:
        """Return the prompt of the frame at t. Its number is written so that reading it gives t exactly."""
        return self.prompt_of(f"{self.method}({self.a}, {self.b}, {t!r})")


@dataclass(frozen=True, kw_only=True)
class PlaneRequest(ArithmeticRequest):
    """Ask for a grid of pictures: rows go from `a` to `b`, columns add `low` to `high` times `direction`."""

    a: str
    b: str
    direction: str
    rows: int = 5
    columns: int = 7
    low: float = -3 / 7
    high: float = 3 / 7
    method: str = "lerp"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int("rows", self.rows, 2, MAX_FRAMES // 2)
        check_int("columns", self.columns, 2, MAX_FRAMES // self.rows, f"{MAX_FRAMES} pictures in all")
        check_choice("method", self.method, METHODS)
        for name in ("low", "high"):
            check_float(name, getattr(self, name), -MAX_STRETCH, MAX_STRETCH)
        for name in ("a", "b", "direction"):
            _check_expression(name, getattr(self, name))
        parse_prompt(self.cell_prompt(0, 0))

    @property
    def num_pictures(self) -> int:
        return self.rows * self.columns

    @property
    def number_field(self) -> str:
        return "rows x columns"

    @property
    def row_places(self) -> tuple[float, ...]:
        """Return how far on the way from a to b each row is, 0..1."""
        return tuple(row / (self.rows - 1) for row in range(self.rows))

    @property
    def column_factors(self) -> tuple[float, ...]:
        """Return how many times each column adds the direction."""
        last = self.columns - 1
        return tuple(self.low + (self.high - self.low) * column / last for column in range(self.columns))

    def cell_prompt(self, row: int, column: int) -> str:
        """Return the prompt of a cell, counted from the top left."""
        t, factor = self.row_places[row], self.column_factors[column]
        direction = self.direction
        if not isinstance(parse_expression(direction, "direction"), Words):
            direction = f"({direction})"
        return self.prompt_of(f"{self.method}({self.a}, {self.b}, {t!r}) + {factor!r}*{direction}")

    @property
    def prompts(self) -> tuple[str, ...]:
        """Return the prompts of all cells, row by row."""
        return tuple(
            self.cell_prompt(row, column) for row in range(self.rows) for column in range(self.columns)
        )


@dataclass(frozen=True, kw_only=True)
class BlendResult(Txt2ImgResult):
    """A blend's picture, the tensor it was drawn from, and the tokens nearest to the blended word.

    `near` holds one entry a row of the slot: the expression worked out on token vectors, before the encoder.
    """

    encoding: Encoding | None = None  # None when stopped before
    near: tuple[tuple[NearWord, ...], ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Divergence:
    """How far neighbouring frames are apart at every step.

    `distances` is (frames - 1, steps) float32: the root mean square over all values of the difference of
    their predicted x0, in latent units, in which a model's latents have a spread of about 1.
    """

    distances: "np.ndarray"

    @property
    def largest(self) -> int:
        """Return the pair with the largest distance at the last step: frames i and i + 1."""
        return int(self.distances[:, -1].argmax())

    @property
    def parted(self) -> tuple[int | None, ...]:
        """Return each pair's first step, from 1, from which on it stays parted."""
        return tuple(first_parted(row.tolist()) for row in self.distances)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return each pair's word: small change, branch early, differ at the end."""
        return tuple(classify(row.tolist()) for row in self.distances)


@dataclass(frozen=True, kw_only=True, eq=False)
class Jump:
    """The largest jump of a walk, narrowed down: the two pictures either side of it.

    `distances` is (steps,) as in Divergence. `history` holds (t_left, t_right, distance at the last step) of
    every narrowing: a distance that stays while the width halves is a jump, one that halves too is none.
    """

    t_left: float
    t_right: float
    left: Image.Image
    right: Image.Image
    left_prompt: str
    right_prompt: str
    left_path: Path | None  # None when they were not saved
    right_path: Path | None
    distances: "np.ndarray"
    history: tuple[tuple[float, float, float], ...]

    @property
    def width(self) -> float:
        return self.t_right - self.t_left

    @property
    def parted(self) -> int | None:
        return first_parted(self.distances.tolist())

    @property
    def kind(self) -> str:
        return classify(self.distances.tolist())

    @property
    def meaning(self) -> str:
        return MEANINGS[self.kind]


@dataclass(frozen=True, kw_only=True)
class FramesResult(Txt2ImgResult):
    """Pictures of one noise and many prompts; those of a stopped job are the first ones."""

    prompts: tuple[str, ...] = ()  # one a picture
    sheet_path: Path | None = None  # all of them in one picture

    def request_of(self, index: int) -> Txt2ImgRequest:
        assert isinstance(self.request, ArithmeticRequest)
        return self.request.picture_of(self.prompts[index])


@dataclass(frozen=True, kw_only=True)
class WalkResult(FramesResult):
    """A walk's frames in order, and what was measured on the way."""

    ts: tuple[float, ...] = ()
    divergence: Divergence | None = None  # None below two frames
    jump: Jump | None = None  # with bisect
    film_path: Path | None = None
    strip_path: Path | None = None
    plot_path: Path | None = None

    def strip(self, count: int = STRIP_FRAMES) -> Image.Image:
        """Return at most `count` frames, evenly chosen with both ends, side by side."""
        from ..images import image_grid

        last = len(self.images) - 1
        count = min(count, len(self.images))
        chosen = [self.images[round(index * last / max(count - 1, 1))] for index in range(count)]
        return image_grid(chosen, columns=len(chosen))

    def grid(self) -> Image.Image:
        """Return all frames in rows."""
        from ..images import image_grid

        return image_grid(self.images)


@dataclass(frozen=True, kw_only=True)
class PlaneResult(FramesResult):
    """A plane's pictures, row by row."""

    columns: int = field(default=1)

    def grid(self) -> Image.Image:
        """Return the plane as one picture."""
        from ..images import image_grid

        return image_grid(self.images, columns=self.columns)


def take_apart(prompt: str) -> dict[str, str]:
    """Return the prompt, space and expression of a BlendRequest whose blended prompt is this one.

    A prompt without a slot is one quoted phrase. Raise ValueError if it has several slots.
    """
    template = parse_prompt(prompt)
    if len(template.slots) > 1:
        raise ValueError(
            f"prompt must have one slot here, got {len(template.slots)} (use it in another tab, as it is)"
        )
    if not template.slots:
        tags = " ".join(match[0] for match in TAG.finditer(prompt))  # they stay outside the braces
        quoted = remove_tags(prompt).replace('"', '\\"')
        return {"prompt": f"{PLACE} {tags}".strip(), "space": "all", "expression": f'"{quoted}"'}
    before, after = template.texts
    inside = prompt[len(before) + 1 : len(prompt) - len(after) - 1]
    space, colon, expression = inside.partition(":")
    if not colon or space.strip() not in SPACES:
        expression = inside
    return {"prompt": f"{before}{PLACE}{after}", "space": template.space, "expression": expression.strip()}


def first_parted(distances: list[float]) -> int | None:
    """Return the first step, from 1, from which on two runs stay at least PARTED apart; None if never."""
    step = len(distances)
    while step and distances[step - 1] >= PARTED:
        step -= 1
    return None if step == len(distances) else step + 1


def classify(distances: list[float]) -> str:
    """Say in a word what a pair's distances mean; see MEANINGS."""
    parted = first_parted(distances)
    if parted is None or not all(map(isfinite, distances)):
        return SMALL_CHANGE
    return BRANCH_EARLY if 2 * parted <= len(distances) else DIFFER_AT_THE_END


def _check_expression(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {shown(value)} (for instance cat + 0.43*tabby)")
    parse_expression(value, name)
