"""Pictures from a prompt, and from a prompt and another picture: what is asked."""

from dataclasses import replace
from math import floor, isfinite
from pathlib import Path
from typing import Self

from PIL import Image

from ..checks import (
    MAX_SEED,
    check_int,
    check_seed,
    check_side,
    check_text,
    shown,
)
from ..expressions.editing import check_texts
from ..expressions.tags import find_tags, refuse_tags
from ..schedulers import AUTOMATIC, SCHEDULE_TYPES, UNIFORM, find_scheduler, name_sampling
from ..settings import Settings
from ..templates import holds_choices
from .fields import InfotextKey, check_fields, request_class, request_field, request_fields

MAX_PROMPT = 20_000  # characters
MAX_STEPS = 1000  # the number of steps a model was trained on
USUAL_STEPS = 50  # to see what a prompt becomes while the steps are left to the model
MAX_NUM_IMAGES = 1000
MAX_STYLES = 50
THE_MODELS_OWN = "the model's own"
SIDE = "in pixels, a multiple of 8"


def parse_seed(value: object) -> int | None:
    """Read a seed as people type it: empty, None or -1 means random (None); whole floats are fine."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    number: object = value
    if isinstance(value, str):
        try:
            number = int(value)
        except ValueError:
            number = value
    elif isinstance(value, float) and isfinite(value) and value.is_integer():
        number = int(value)
    if number == -1 and not isinstance(number, bool):
        return None
    check_int("seed", number, 0, MAX_SEED, "use -1 for a random one")
    assert isinstance(number, int)
    return number


def _check_prompt(name: str, value: object) -> None:
    check_text(name, value, MAX_PROMPT)
    assert isinstance(value, str)
    find_tags(value)


def _check_negative_prompt(name: str, value: object) -> None:
    check_text(name, value, MAX_PROMPT)
    assert isinstance(value, str)
    refuse_tags(name, value)


def _check_styles(name: str, value: object) -> None:
    if not isinstance(value, tuple | list) or len(value) > MAX_STYLES:
        raise ValueError(f"{name} must be up to {MAX_STYLES} names, got {shown(value)} (leave some out)")
    for one in value:
        check_text(name, one, MAX_PROMPT)


def _short(number: float) -> str:
    return str(number).removesuffix(".0")


@request_class
class Txt2ImgRequest:
    """Ask for pictures of a prompt. None means: the model's own default; for the seed: a random one.

    Both prompts may hold arithmetic in braces, `a drawing of {cat + 0.43*tabby}`; see expressions/. The
    prompt may ask for LoRAs, `<lora:name:0.8>`; see expressions/tags.py. With choices, `{red|blue}`, or
    wildcards, `__color__`, a prompt is a template: each picture's own is drawn of it by its seed, and the
    picture's request holds both; see templates/.
    Picture k of the request has seed `seed + k`. `clip_skip` counts as in AUTOMATIC1111: 1 is the last
    layer of the text encoder, 2 the one before. Two fields save time and give another picture: after
    `guidance_end`, a share of the steps, 0..1, there is no guidance; and only every `cache_interval` steps
    the U-Net's deep blocks are run. Raise ValueError naming field, value, rule and remedy.
    """

    prompt: str = request_field(
        label="Prompt",
        help="what the picture shows; (word:1.2) stresses, [word] weakens, {cat + 0.4*dog} computes",
        check=_check_prompt,
        limit=MAX_PROMPT,
    )
    negative_prompt: str = request_field(
        default="",
        label="Negative prompt",
        help="what the picture should not show",
        check=_check_negative_prompt,
        limit=MAX_PROMPT,
        flags=("--negative",),
    )
    model: str | None = request_field(
        default=None,
        label="Model",
        help="a name that `python -m sd_app models` lists, owner/name of the hub, or a path",
        infotext=InfotextKey("Model"),
    )
    scheduler: str | None = request_field(
        default=None,
        label="Sampler",
        help='how a step is taken, for instance "DPM++ 2M"; "DPM++ 2M Karras" names the schedule type too',
        unset=THE_MODELS_OWN,
    )
    schedule_type: str | None = request_field(
        default=None,
        label="Schedule type",
        help="which noise levels the steps stop at: "
        f"{', '.join(SCHEDULE_TYPES)}, or {AUTOMATIC} for what is usual with the sampler",
        unset=f"{UNIFORM} with a sampler, else the model's own",
    )
    num_inference_steps: int | None = request_field(
        default=None,
        low=1,
        high=MAX_STEPS,
        slider=(1, 150),
        label="Steps",
        help="denoising steps",
        unset=THE_MODELS_OWN,
        flags=("--steps",),
        infotext=InfotextKey("Steps"),
    )
    guidance_scale: float | None = request_field(
        default=None,
        low=0.0,
        high=30.0,
        slider=True,
        step=0.1,
        label="Guidance",
        long_label="Guidance scale (CFG)",
        help="higher follows the prompt more closely",
        unset=THE_MODELS_OWN,
        flags=("--cfg",),
        infotext=InfotextKey("CFG scale", write=_short),
    )
    seed: int | None = request_field(
        default=None,
        low=0,
        high=MAX_SEED,
        remedy="leave it out for a random one",
        parse=parse_seed,
        label="Seed",
        long_label="Seed (−1 for random)",
        help="picture k has seed + k; -1 or left out: random",
        infotext=InfotextKey("Seed"),
    )
    width: int | None = request_field(
        default=None,
        check=check_side,
        step=8,
        label="Width",
        help=SIDE,
        unset=THE_MODELS_OWN,
    )
    height: int | None = request_field(
        default=None,
        check=check_side,
        step=8,
        label="Height",
        help=SIDE,
        unset=THE_MODELS_OWN,
    )
    num_images: int = request_field(
        default=1,
        low=1,
        high=MAX_NUM_IMAGES,
        label="Pictures",
        help="how many pictures",
        flags=("-n",),
        infotext=InfotextKey("Number of images"),
    )
    clip_skip: int = request_field(
        default=1,
        low=1,
        high=12,
        slider=True,
        label="Clip skip",
        help="1 uses the whole text encoder, 2 skips its last layer",
        infotext=InfotextKey("Clip skip"),
    )
    vae: str | None = request_field(
        default=None,
        label="VAE",
        help="turns latents into pictures and back; put others into models/vae/",
        unset=THE_MODELS_OWN,
        stays_none=True,
        infotext=InfotextKey("VAE"),
    )
    guidance_end: float = request_field(
        default=1.0,
        low=0.0,
        high=1.0,
        slider=True,
        step=0.05,
        label="Guidance until",
        help="share of the steps, {low} to {high}, after which guidance is off: faster, changes the picture",
        infotext=InfotextKey("Guidance end"),
    )
    cache_interval: int = request_field(
        default=1,
        low=1,
        high=10,
        slider=True,
        label="Deep blocks every",
        help="run the U-Net's deep blocks only every N steps (DeepCache): faster, changes the picture",
        infotext=InfotextKey("DeepCache interval"),
    )
    styles: tuple[str, ...] = request_field(
        default=(),
        check=_check_styles,
        keep=tuple,
        label="Styles",
        help="names of styles in styles.csv, applied to both prompts one after the other",
    )
    applied_styles: str = request_field(
        default="",
        limit=MAX_PROMPT,
        label="Applied styles",
        help="the styles that are in the prompts already, kept in the file",
        infotext=InfotextKey("Styles"),
    )
    template: str = request_field(
        default="",
        limit=MAX_PROMPT,
        label="Template",
        help="what the prompt was drawn from, kept in the file; a prompt with choices becomes its own",
        infotext=InfotextKey("Template"),
    )
    negative_template: str = request_field(
        default="",
        limit=MAX_PROMPT,
        label="Negative template",
        help="what the negative prompt was drawn from",
        infotext=InfotextKey("Negative Template"),
    )

    def __post_init__(self) -> None:
        check_fields(self)
        self._name_sampling()
        self._check_slots()
        if self.seed is not None:
            check_seed(self.seed, self.num_images)

    def _name_sampling(self) -> None:
        """Keep sampler and schedule type apart, also where one name holds both."""
        scheduler, schedule_type = name_sampling(self.scheduler, self.schedule_type)
        object.__setattr__(self, "scheduler", scheduler)
        object.__setattr__(self, "schedule_type", schedule_type)

    def _check_slots(self) -> None:
        """Refuse choices and arithmetic that cannot be read, before anything is loaded.

        What a template becomes is checked when it is drawn.
        """
        steps = self.num_inference_steps or USUAL_STEPS
        if not holds_choices(self.prompt):
            check_texts(self.prompt, steps)
        if not holds_choices(self.negative_prompt, "negative_prompt"):
            check_texts(self.negative_prompt, steps, "negative_prompt", joins=False)

    @property
    def is_template(self) -> bool:
        """Tell whether a prompt of it is still to be drawn, or styles to be applied."""
        return (
            bool(self.styles)
            or holds_choices(self.prompt)
            or holds_choices(self.negative_prompt, "negative_prompt")
        )

    def drawn_as(self, prompt: str, negative_prompt: str) -> Self:
        """Return the request of what its templates became; a prompt that did not change has none."""
        changed, negative = prompt != self.prompt, negative_prompt != self.negative_prompt
        return replace(
            self,
            prompt=prompt,
            negative_prompt=negative_prompt,
            template=self.prompt if changed else self.template,
            negative_template=self.negative_prompt if negative else self.negative_template,
            styles=(),
            applied_styles=", ".join(self.styles) or self.applied_styles,
        )

    @property
    def sampling(self) -> str:
        """Return sampler and schedule type of a resolved request as one name."""
        assert self.scheduler is not None
        return find_scheduler(self.scheduler, self.schedule_type).full_name

    @property
    def num_pictures(self) -> int:
        """Return how many pictures the result holds when nothing stops it."""
        return self.num_images

    @property
    def number_field(self) -> str:
        """Return what the number of pictures comes from, as an error names it."""
        return "num_images"

    @property
    def is_resolved(self) -> bool:
        """Tell whether every field has a value, so that the request means the same picture everywhere."""
        return not self.open_fields

    @property
    def open_fields(self) -> tuple[str, ...]:
        """Return the fields that still are to be chosen: those that are None where that is no value."""
        known = request_fields(type(self)).values()
        return tuple(one.name for one in known if getattr(self, one.name) is None and not one.stays_none)


@request_class
class Img2ImgRequest(Txt2ImgRequest):
    """Ask for pictures that start from another one.

    `init_image` is an RGB picture, or the path of a file, which the studio then opens. It is brought to
    width x height by `resize_mode`: "crop" fills the frame and cuts what sticks out, "pad" fits it in and
    continues its edges, "stretch" distorts it. Without width and height its own size counts, rounded to 8.
    `strength` 0..1 is the share of the steps that are run, so how much is made anew; at 1 only the size of
    the picture counts.
    """

    init_image: Image.Image | str | Path = request_field(label="Picture", help="the picture to start from")
    strength: float = request_field(
        default=0.75,
        low=0.0,
        high=1.0,
        slider=(0.01, 1),
        label="Strength",
        long_label="Denoising strength",
        help="how much of the picture is redrawn: 0 is nothing, 1 is everything",
        infotext=InfotextKey("Denoising strength", write=_short, always=True),
    )
    resize_mode: str = request_field(
        default="crop",
        choices={"crop": "Crop", "pad": "Pad", "stretch": "Stretch"},
        label="Fit",
        long_label="If the aspect ratio differs",
        help="how the picture is brought to width and height: crop (not for inpaint), pad or stretch",
        infotext=InfotextKey("Resize mode"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_runs_a_step("strength", self.strength, self.num_inference_steps)

    @property
    def steps_run(self) -> int | None:
        """Return how many of the steps are run, None while their number is the model's own."""
        return (
            None if self.num_inference_steps is None else count_steps(self.num_inference_steps, self.strength)
        )


def check_limits(request: Txt2ImgRequest, settings: Settings) -> None:
    """Refuse with ValueError what is valid but more than the owner allows. Sizes of None pass.

    The owner's own walks may have as many frames as they like; a visitor's count as pictures.
    """
    count = request.num_images if settings.mode == "local" else request.num_pictures
    if count > settings.max_images:
        raise ValueError(
            f"{request.number_field} must be at most {settings.max_images} here, got {count}"
            " (the owner's limit max_images)"
        )
    if request.width is None or request.height is None:
        return
    if request.width * request.height > settings.max_pixels:
        side = int(settings.max_pixels**0.5) // 8 * 8
        raise ValueError(
            f"width x height must be at most {settings.max_pixels:,} pixels here,"
            f" got {request.width}x{request.height} (try {side}x{side})"
        )


def check_runs_a_step(name: str, strength: float, num_inference_steps: int | None) -> None:
    """Refuse a strength that leaves none of the steps to run."""
    if num_inference_steps is not None and not count_steps(num_inference_steps, strength):
        raise ValueError(
            f"{name} must be large enough to run a step, got {strength:g} of {num_inference_steps} steps"
            f" (raise {name} or num_inference_steps)"
        )


def count_steps(num_inference_steps: int, strength: float) -> int:
    """Return how many steps run at a strength: their product, rounded down.

    100 * 0.58 is 57.99999999999999 for a computer, and 69 for everyone else.
    """
    return min(num_inference_steps, floor(num_inference_steps * strength + 1e-9))
