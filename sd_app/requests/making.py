"""The three jobs that make pictures: what each asks and what it gives back."""

from dataclasses import dataclass, fields, replace
from math import floor, isfinite
from pathlib import Path

from PIL import Image

from ..checks import (
    MAX_SEED,
    check_bool,
    check_choice,
    check_float,
    check_int,
    check_margins,
    check_name,
    check_picture,
    check_same_size,
    check_seed,
    check_side,
    check_text,
)
from ..expressions import parse_prompt
from ..expressions.tags import find_tags, refuse_tags
from ..settings import Settings

MAX_PROMPT = 20_000  # characters
MAX_STEPS = 1000  # the number of steps a model was trained on
MAX_GUIDANCE = 30.0
MAX_NUM_IMAGES = 1000
MAX_CLIP_SKIP = 12
MAX_CACHE_INTERVAL = 10  # steps
MAX_FEATHER = 512  # pixels
MAX_PADDING = 1024  # pixels
RESIZE_MODES = ("crop", "pad", "stretch")
MASKED_CONTENTS = ("original", "fill", "noise")
BLENDS = ("none", "poisson", "pyramid")
MAY_BE_NONE = ("vae",)  # fields of which None is a value of its own
MASK_MODES = ("1", "L", "RGB")


@dataclass(frozen=True, kw_only=True)
class Txt2ImgRequest:
    """Ask for pictures of a prompt. None means: the model's own default; for the seed: a random one.

    Both prompts may hold arithmetic in braces, `a drawing of {cat + 0.43*tabby}`; see expressions.py. The
    prompt may ask for LoRAs, `<lora:name:0.8>`; see expressions/tags.py.
    Picture k of the request has seed `seed + k`. `clip_skip` counts as in AUTOMATIC1111: 1 is the last
    layer of the text encoder, 2 the one before. Two fields save time and give another picture: after
    `guidance_end`, a share of the steps, 0..1, there is no guidance; and only every `cache_interval` steps
    the U-Net's deep blocks are run. Raise ValueError naming field, value, rule and remedy.
    """

    prompt: str
    negative_prompt: str = ""
    model: str | None = None
    scheduler: str | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    num_images: int = 1
    clip_skip: int = 1
    vae: str | None = None  # None: the model's own; else the name of one in models_dir/vae
    guidance_end: float = 1.0
    cache_interval: int = 1

    def __post_init__(self) -> None:
        check_text("prompt", self.prompt, MAX_PROMPT)
        if not self.prompt.strip():
            raise ValueError("prompt must not be empty (say what the picture should show)")
        check_text("negative_prompt", self.negative_prompt, MAX_PROMPT)
        find_tags(self.prompt)
        refuse_tags("negative_prompt", self.negative_prompt)
        self._check_slots()
        check_name("model", self.model)
        check_name("scheduler", self.scheduler)
        check_name("vae", self.vae)
        check_int("num_images", self.num_images, 1, MAX_NUM_IMAGES)
        check_int("clip_skip", self.clip_skip, 1, MAX_CLIP_SKIP)
        check_float("guidance_end", self.guidance_end, 0.0, 1.0)
        object.__setattr__(self, "guidance_end", float(self.guidance_end))
        check_int("cache_interval", self.cache_interval, 1, MAX_CACHE_INTERVAL)
        if self.num_inference_steps is not None:
            check_int("num_inference_steps", self.num_inference_steps, 1, MAX_STEPS)
        if self.guidance_scale is not None:
            check_float("guidance_scale", self.guidance_scale, 0.0, MAX_GUIDANCE)
            object.__setattr__(self, "guidance_scale", float(self.guidance_scale))
        if self.seed is not None:
            check_seed(self.seed, self.num_images)
        if self.width is not None:
            check_side("width", self.width)
        if self.height is not None:
            check_side("height", self.height)

    def _check_slots(self) -> None:
        """Refuse arithmetic that cannot be read, before anything is loaded."""
        parse_prompt(self.prompt)
        parse_prompt(self.negative_prompt, "negative_prompt")

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
        return all(
            getattr(self, field.name) is not None for field in fields(self) if field.name not in MAY_BE_NONE
        )


@dataclass(frozen=True, kw_only=True)
class Img2ImgRequest(Txt2ImgRequest):
    """Ask for pictures that start from another one.

    `init_image` is an RGB picture, or the path of a file, which the studio then opens. It is brought to
    width x height by `resize_mode`: "crop" fills the frame and cuts what sticks out, "pad" fits it in and
    continues its edges, "stretch" distorts it. Without width and height its own size counts, rounded to 8.
    `strength` 0..1 is the share of the steps that are run, so how much is made anew; at 1 only the size of
    the picture counts.
    """

    init_image: Image.Image | str | Path
    strength: float = 0.75
    resize_mode: str = "crop"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_picture("init_image", self.init_image, ("RGB",))
        check_float("strength", self.strength, 0.0, 1.0)
        object.__setattr__(self, "strength", float(self.strength))
        check_choice("resize_mode", self.resize_mode, RESIZE_MODES)
        if self.steps_run == 0:
            raise ValueError(
                f"strength must be large enough to run a step, got {self.strength:g} of"
                f" {self.num_inference_steps} steps (raise strength or num_inference_steps)"
            )

    @property
    def steps_run(self) -> int | None:
        """Return how many of the steps are run, None while their number is the model's own."""
        return (
            None if self.num_inference_steps is None else count_steps(self.num_inference_steps, self.strength)
        )


@dataclass(frozen=True, kw_only=True)
class InpaintRequest(Img2ImgRequest):
    """Ask to paint a part of a picture anew and keep the rest pixel for pixel.

    In `mask_image`, of the same size as `init_image`, white is repainted; with `soft_mask` grey is changed
    less, without it grey counts as white from 128 on. `outpaint` adds pixels at (left, top, right, bottom):
    the new border is repainted too, and the mask may be left out. Results have the size of the picture, so
    "crop" is no `resize_mode` here. `width` and `height` are the size the model works at; without them it is
    the picture's own, or the model's native one with `only_masked`.
    """

    resize_mode: str = "pad"
    mask_image: Image.Image | str | Path | None = None
    feather: int = 0  # pixels over which the new part fades in, from the mask's edge inwards
    masked_content: str = "original"  # what the repainted part starts from: "original", "fill", "noise"
    only_masked: bool = False  # work on the masked area alone, as large as the model can
    padding: int = 32  # pixels around the masked area that the model sees with only_masked
    invert_mask: bool = False  # repaint black instead
    soft_mask: bool = False
    color_match: bool = False  # shift the new part's colours towards those around it
    blend: str = "none"  # how the new part is joined: "none", "poisson", "pyramid"
    outpaint: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resize_mode == "crop":
            raise ValueError(
                "resize_mode must be pad or stretch for inpainting, got crop (the picture comes back whole)"
            )
        check_int("feather", self.feather, 0, MAX_FEATHER)
        check_int("padding", self.padding, 0, MAX_PADDING)
        check_choice("masked_content", self.masked_content, MASKED_CONTENTS)
        check_choice("blend", self.blend, BLENDS)
        for name in ("only_masked", "invert_mask", "soft_mask", "color_match"):
            check_bool(name, getattr(self, name))
        check_margins("outpaint", self.outpaint)
        object.__setattr__(self, "outpaint", tuple(self.outpaint))
        if self.mask_image is not None:
            check_picture("mask_image", self.mask_image, MASK_MODES)
            check_same_size(self.init_image, self.mask_image)
        elif not any(self.outpaint):
            raise ValueError(
                "mask_image must be given (paint white what is to be made anew, or set outpaint)"
            )


@dataclass(frozen=True, kw_only=True)
class Txt2ImgResult:
    """What a job made. `request` is resolved: no field of it is open. All tuples have one entry a picture."""

    images: tuple[Image.Image, ...]
    seeds: tuple[int, ...]
    request: Txt2ImgRequest
    seconds: float
    paths: tuple[Path, ...] = ()  # empty when the pictures were not saved
    infotexts: tuple[str, ...] = ()
    stopped: bool = False  # cancelled: holds the pictures finished before

    def request_of(self, index: int) -> Txt2ImgRequest:
        """Return the request that makes picture `index` alone."""
        return replace(self.request, seed=self.seeds[index], num_images=1)


@dataclass(frozen=True, kw_only=True)
class Img2ImgResult(Txt2ImgResult):
    """What img2img made, and what it began with."""

    input_image: Image.Image | None = None  # the init picture at the size of the results
    start_images: tuple[Image.Image, ...] = ()  # one: the init picture encoded and decoded again
    noised_start: Image.Image | None = None  # the first picture's noised latents; None: colours unknown


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far kept pixels moved: per pixel the largest difference of a channel, 0..255."""

    mean: float
    maximum: int
    changed_share: float  # of the kept pixels, 0..1: those that differ at all


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """What inpainting changed where nothing was to change, and how visible the edge is.

    A seam is the mean colour step, 0..255, from a repainted pixel to the kept one beside it.
    """

    raw: Drift  # the picture as the model gives it
    composite: Drift  # the re-masked picture
    roundtrip: Drift  # the untouched input encoded and decoded: what the VAE does alone
    seam_input: float  # the same edge in the input: what belongs to the picture
    seam_before: float  # in the re-masked picture without feather, colour match and blending
    seam_after: float  # in the re-masked picture as it is returned
    raw_heat: Image.Image  # heat maps of what changed outside the mask; what is repainted is grey
    composite_heat: Image.Image

    @property
    def vae_share(self) -> float:
        """Return how much of the raw picture's mean drift the VAE alone explains, 0..1."""
        return min(1.0, self.roundtrip.mean / self.raw.mean) if self.raw.mean else 1.0


@dataclass(frozen=True, kw_only=True)
class InpaintResult(Img2ImgResult):
    """What inpainting made. `images` are re-masked, at the input's own size (with outpaint: the larger one).

    The files of picture k: paths[k], and beside it the same name with -raw and -roundtrip.
    """

    raw_images: tuple[Image.Image, ...] = ()  # as the model gives them, before the mask is applied again
    roundtrip_image: Image.Image | None = None  # the input encoded and decoded; None if nothing was run
    drifts: tuple[DriftReport, ...] = ()  # one a picture
    notice: str = ""  # what the user should know, for instance that the mask was empty

    @property
    def drift(self) -> DriftReport | None:
        """Return the first picture's drift report, None if nothing was run."""
        return self.drifts[0] if self.drifts else None


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


def count_steps(num_inference_steps: int, strength: float) -> int:
    """Return how many steps run at a strength: their product, rounded down.

    100 * 0.58 is 57.99999999999999 for a computer, and 69 for everyone else.
    """
    return min(num_inference_steps, floor(num_inference_steps * strength + 1e-9))


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
