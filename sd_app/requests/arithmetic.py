"""Arithmetic with prompts: what a blend, a walk between two prompts and a plane ask."""

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from PIL import Image

from ..checks import check_float, shown
from ..expressions import METHODS, SPACES, Words, parse_expression, parse_prompt, sum_of_weights
from ..expressions.editing import check_texts
from ..expressions.tags import TAG, remove_tags
from ..templates import holds_choices
from .fields import request_class, request_field, request_fields, same_field
from .making import USUAL_STEPS, Img2ImgRequest, Txt2ImgRequest, check_runs_a_step

PLACE = "{}"  # where the expression goes in a prompt
MAX_FRAMES = 400
MAX_STRETCH = 100.0  # of a plane's columns
SPACE_LABELS = (
    "All rows. Each phrase is read in the whole prompt, and all 77 rows of the output are combined.",
    "Output row. Only the output rows of the words themselves are combined; the others stay those of the"
    " first phrase.",
    "Input vectors. The words are combined before the encoder reads them, so every later row changes too.",
)
METHOD_CHOICES = dict(zip(METHODS, ("Straight (lerp)", "Along the sphere (slerp)"), strict=True))


def _check_expression(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {shown(value)} (for instance cat + 0.43*tabby)")
    parse_expression(value, name)


def _check_ts(name: str, value: object) -> None:
    if not isinstance(value, tuple | list) or len(value) == 1 or len(value) > MAX_FRAMES:
        raise ValueError(f"{name} must be 2 to {MAX_FRAMES} numbers, got {shown(value)} (or none: even)")
    for t in value:
        check_float(name, t, 0.0, 1.0)
    if list(value) != sorted(value):
        raise ValueError(f"{name} must not fall, got {shown(_floats(value))} (sort them)")


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(float, values))


def _most_columns(plane: object) -> int:
    assert isinstance(plane, PlaneRequest)
    return MAX_FRAMES // plane.rows


@request_class
class ArithmeticRequest(Txt2ImgRequest):
    """What the requests below share: a prompt with `{}` where the expression goes, and a space for it.

    `space` is "all" (all rows of the encoder's output), "row" (the slot's rows alone) or "input" (token
    vectors before the encoder).
    """

    prompt: str = same_field(of=Txt2ImgRequest, default=PLACE, long_label="Prompt around the words")
    space: str = request_field(
        default="all",
        choices=dict(zip(SPACES, SPACE_LABELS, strict=True)),
        label="Space",
        help="where to compute: all (every row of the encoder's output), row (the words' own rows) or input"
        " (token vectors)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_images != 1:
            raise ValueError(f"num_images must be 1 here, got {self.num_images} (ask for one at a time)")

    def _check_slots(self) -> None:
        if self.prompt.count(PLACE) != 1:
            raise ValueError(
                f"prompt must hold {PLACE} once, where the words go, got {shown(self.prompt)}"
                " (for instance: a drawing of {})"
            )
        if self.styles:
            raise ValueError(f"styles must be none here, got {shown(self.styles)} (put them into the prompt)")
        for name in ("prompt", "negative_prompt"):
            if holds_choices(getattr(self, name), name):
                held = shown(getattr(self, name))
                raise ValueError(f"{name} must not hold choices or wildcards here, got {held} (take one)")
        steps = self.num_inference_steps or USUAL_STEPS
        check_texts(self.prompt.replace(PLACE, ""), steps)
        check_texts(self.negative_prompt, steps, "negative_prompt", joins=False)

    def prompt_of(self, expression: str) -> str:
        """Return the prompt with an expression in its place: what txt2img is asked."""
        prefix = "" if self.space == "all" else f"{self.space}: "
        return self.prompt.replace(PLACE, f"{{{prefix}{expression}}}")

    def picture_of(self, prompt: str) -> Txt2ImgRequest:
        """Return the request of one picture, as it is saved in its file."""
        values = {field.name: getattr(self, field.name) for field in fields(Txt2ImgRequest)}
        return Txt2ImgRequest(**values | {"prompt": prompt})


@request_class
class BlendRequest(ArithmeticRequest):
    """Ask for pictures of an expression, such as `cat + 0.43*tabby`, put where the prompt has `{}`."""

    space: str = same_field(of=ArithmeticRequest, default="row")
    normalize: bool = request_field(
        default=False,
        label="Make the weights add up to 1",
        help="divide by the sum of the weights, so that a prompt's rows keep their size",
    )
    expression: str = request_field(
        check=_check_expression,
        label="Expression",
        help="for instance cat + 0.43*tabby, lerp(cat, dog, 0.5), mean(cat, dog)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_texts(self.blended_prompt, self.num_inference_steps or USUAL_STEPS)

    @property
    def blended_prompt(self) -> str:
        """Return the prompt with the expression in it, divided by its weights' sum if that is asked."""
        return self.prompt_of(normalized(self.expression) if self.normalize else self.expression)


@request_class
class WalkRequest(ArithmeticRequest):
    """Ask for pictures on the way from `a` to `b`, two expressions; all begin with the same noise.

    `frames` of them at even distances, or at the places `ts`, 0..1 each and not falling. With `bisect` the
    largest jump is then narrowed down to a width of 1/1024.
    With `init_image` every frame starts from that picture, as img2img does at `strength`; with `to_strength`
    the strength goes from the one to the other along the walk, and with `a` and `b` alike it alone does.
    """

    a: str = request_field(
        check=_check_expression,
        label="From",
        help="where the way begins: an expression, or a prompt in double quotes",
    )
    b: str = request_field(check=_check_expression, label="To", help="where it ends")
    frames: int = request_field(
        default=9,
        low=2,
        high=MAX_FRAMES,
        label="Frames",
        long_label="Frames, {low}–{high}",
        help="pictures on the way, {low} to {high}",
    )
    ts: tuple[float, ...] = request_field(
        default=(),
        check=_check_ts,
        keep=_floats,
        label="Places",
        help="places of the frames, each from 0 to 1, instead of even distances",
    )
    method: str = request_field(
        default="lerp",
        choices=METHOD_CHOICES,
        label="Path",
        help="lerp goes in a straight line, slerp along the sphere",
    )
    bisect: bool = request_field(
        default=False,
        label="Find the jump",
        help="narrows the largest jump down to a width of at most 1/1024",
    )
    film: str = request_field(
        default="mp4",
        choices={"none": "None", "mp4": "MP4", "webp": "WebP"},
        label="Film",
        help="what to write beside the frames: mp4, webp or none",
    )
    fps: int = request_field(
        default=8,
        low=1,
        high=60,
        label="Frames per second",
        long_label="Frames per second, {low}–{high}",
        help="frames per second of the film",
    )
    init_image: Image.Image | str | Path | None = request_field(
        default=None, stays_none=True, label="Picture", help="a picture that every frame starts from"
    )
    strength: float = same_field(of=Img2ImgRequest, default=0.75)
    to_strength: float | None = request_field(
        default=None,
        stays_none=True,
        low=0.0,
        high=1.0,
        label="Strength at the end",
        help="the last frame's strength, if it differs from the first one's",
    )
    resize_mode: str = same_field(of=Img2ImgRequest, default="crop")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_start()
        if self.init_image is not None:
            check_runs_a_step("strength", self.strength, self.num_inference_steps)
        if self.to_strength is not None:
            check_runs_a_step("to_strength", self.to_strength, self.num_inference_steps)
        if self.bisect and self.ts and self.ts[0] == self.ts[-1]:
            raise ValueError(f"ts must hold two places to look for a jump between, got {shown(self.ts)}")
        check_texts(self.frame_prompt(0.5), self.num_inference_steps or USUAL_STEPS)

    def _check_start(self) -> None:
        """Refuse what says how a picture is started from where there is none: it would count for nothing."""
        if self.init_image is not None:
            return
        for name in ("strength", "to_strength", "resize_mode"):
            value = getattr(self, name)
            if value != request_fields(WalkRequest)[name].default:
                raise ValueError(
                    f"{name} needs a picture to start from, got {value} without init_image"
                    f" (give one, or leave {name} out)"
                )

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

    def strength_at(self, t: float) -> float:
        """Return the strength of the frame at t, exact at both ends."""
        if self.to_strength is None:
            return self.strength
        return self.to_strength if t == 1 else self.strength + t * (self.to_strength - self.strength)

    def frame_at(self, t: float) -> Txt2ImgRequest:
        """Return the request of the frame at t, as it is saved in its file."""
        picture = self.picture_of(self.frame_prompt(t))
        if self.init_image is None:
            return picture
        values = {field.name: getattr(picture, field.name) for field in fields(picture)}
        return Img2ImgRequest(
            **values,
            init_image=self.init_image,
            strength=self.strength_at(t),
            resize_mode=self.resize_mode,
        )


@request_class
class PlaneRequest(ArithmeticRequest):
    """Ask for a grid of pictures: rows go from `a` to `b`, columns add `low` to `high` times `direction`."""

    space: str = same_field(of=ArithmeticRequest, default="row")
    a: str = same_field(of=WalkRequest)
    b: str = same_field(of=WalkRequest)
    direction: str = request_field(
        check=_check_expression, label="Add along the columns", help="what the columns add"
    )
    rows: int = request_field(
        default=5, low=2, high=MAX_FRAMES // 2, label="Rows", help="pictures from a to b"
    )
    columns: int = request_field(
        default=7,
        low=2,
        high=_most_columns,
        remedy=f"{MAX_FRAMES} pictures in all",
        label="Columns",
        help="pictures along the direction",
    )
    low: float = request_field(
        default=-3 / 7,
        low=-MAX_STRETCH,
        high=MAX_STRETCH,
        label="First column",
        long_label="First factor",
        help="how many times the first column adds it",
    )
    high: float = request_field(
        default=3 / 7,
        low=-MAX_STRETCH,
        high=MAX_STRETCH,
        label="Last column",
        long_label="Last factor",
        help="how many times the last column adds it",
    )
    method: str = same_field(of=WalkRequest, default="lerp")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_texts(self.cell_prompt(0, 0), self.num_inference_steps or USUAL_STEPS)

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


def normalized(expression: str) -> str:
    """Return an expression whose weights add up to 1: itself, or divided by their sum.

    Raise ValueError if they add up to about 0, which nothing divides.
    """
    total = sum_of_weights(parse_expression(expression, "expression"))
    if abs(total - 1) < 1e-9:
        return expression
    if abs(total) < 0.05:
        raise ValueError(
            f"expression must have weights that add up to something to be divided by it, got {total:.3g}"
            " (leave normalize off)"
        )
    return f"({expression})/{total!r}"


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
