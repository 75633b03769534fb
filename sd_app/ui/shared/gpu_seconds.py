"""How long a GPU is asked for: a job's own estimate, from pixels, steps, pictures and model.

What is asked for counts against a visitor's daily minutes before the job begins, and a short request is
served first; a job that runs longer may be ended. So the estimate starts from what was measured elsewhere and
follows what this Space's own jobs took.
"""

import re
from collections import deque
from dataclasses import dataclass, field
from math import ceil

from ...checkpoints.model_info import ModelInfo
from ...requests import Img2ImgRequest, Step, Txt2ImgRequest, WalkRequest, count_steps

FLOOR = 10  # seconds that are always asked for
CAP = 300  # seconds that are asked for at most; a job that is expected to take longer is refused
MARGIN = 1.5  # times the estimate
START = 3.0  # seconds until a process has its GPU
# Seconds for a step of a megapixel with guidance. 25 steps took an H100 0.81 s at 512 x 512 with Stable
# Diffusion 1.5 and 1.94 s at 1024 x 1024 with SDXL (diffusers, .github/docs/speed.md); a Space lends half of
# such a card.
PACES = {"sd1": 0.25, "sd2": 0.25, "sdxl": 0.15}
# Megapixels at which attention takes as long as all else: it grows with the square of the pixels.
ATTENTION_MEGAPIXELS = {"sd1": 1.5, "sd2": 1.5, "sdxl": 9.0}
LAUNCH_MEGAPIXELS = 0.15  # what starting a step's kernels takes, as megapixels
DECODING_STEPS = 4  # what decoding and saving a picture takes, as steps
SECONDS_PER_GIGABYTE = 3.0  # to load weights
USUAL_SECONDS = {"interrogate": 60.0}  # of other jobs, before one of them was measured
OTHER_SECONDS = 20.0
REMEMBERED = 5  # jobs; the slowest of them counts
BISECTIONS = 10  # pictures more, with which a walk narrows its jump down to 1/1024
TWICE_A_STEP = re.compile(r"heun|dpm2|dpm\+\+ sde", re.IGNORECASE)  # samplers with two U-Net calls


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a job that makes pictures has to do, in megapixel-steps."""

    step: float  # one step of one picture
    total: float


def work_of(request: Txt2ImgRequest, model: ModelInfo) -> Work:
    """Return the work of a request; what it leaves out is the model's default."""
    width, height = (side or model.native_size for side in (request.width, request.height))
    pixels = width * height / 1e6
    scheduler = request.scheduler or model.default_scheduler
    calls = (2 if TWICE_A_STEP.search(scheduler) else 1) * (1 + request.prompt.count(" AND "))
    attention = 1 + pixels / ATTENTION_MEGAPIXELS[model.family]
    step = calls * (pixels * attention + LAUNCH_MEGAPIXELS)
    pictures = request.num_pictures
    if isinstance(request, WalkRequest) and request.bisect:
        pictures += BISECTIONS
    steps = _steps(request, model) + DECODING_STEPS / calls
    return Work(step=step, total=pictures * steps * step)


def _steps(request: Txt2ImgRequest, model: ModelInfo) -> int:
    steps = request.num_inference_steps or model.default_steps
    if isinstance(request, Img2ImgRequest):
        return count_steps(steps, request.strength)
    if isinstance(request, WalkRequest) and request.init_image is not None:
        return count_steps(steps, max(request.strength, request.to_strength or 0.0))
    return steps


@dataclass(kw_only=True)
class Measured:
    """What the latest jobs of one kind took."""

    paces: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))  # seconds a megapixel-step
    rests: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))  # all other seconds


class GpuSeconds:
    """Estimates jobs, and learns from those that were run. Kinds are told apart by a text."""

    def __init__(self) -> None:
        self._measured: dict[str, Measured] = {}

    def making(self, request: Txt2ImgRequest, model: ModelInfo) -> float:
        """Return the seconds that a job which makes pictures is expected to take, loading included."""
        measured = self._measured.get(model.name, Measured())
        pace = max(measured.paces, default=PACES[model.family])
        loading = SECONDS_PER_GIGABYTE * model.size_bytes / 1e9
        rest = max(measured.rests, default=loading)
        return START + rest + pace * work_of(request, model).total

    def other(self, name: str, kind: str) -> float:
        """Return the seconds that another job, the studio's method `name`, is expected to take."""
        measured = self._measured.get(kind, Measured())
        return START + max(measured.rests, default=USUAL_SECONDS.get(name, OTHER_SECONDS))

    def made(self, request: Txt2ImgRequest, model: ModelInfo, last: Step | None, seconds: float) -> None:
        """Learn from a finished job: a step of its last batch, and what all of it took."""
        if last is None or last.steps_per_second is None:
            return
        work = work_of(request, model)
        usual = PACES[model.family]
        pace = 1 / (last.steps_per_second * last.batch_images * work.step)
        # A hiccup, or a picture of a few pixels, must not refuse or starve all that follow.
        pace = min(max(pace, usual / 10), usual * 10)
        measured = self._measured.setdefault(model.name, Measured())
        measured.paces.append(pace)
        measured.rests.append(max(0.0, seconds - pace * work.total))

    def took(self, kind: str, seconds: float) -> None:
        """Learn from another job that was finished."""
        self._measured.setdefault(kind, Measured()).rests.append(seconds)


def booking(seconds: float) -> int:
    """Return the seconds to ask for; raise ValueError for a job that is longer than any GPU is lent."""
    if seconds > CAP:
        raise ValueError(
            f"the job would need the Space's GPU for about {ceil(seconds)} seconds, and one is lent for"
            f" {CAP} at most (ask for fewer pictures or steps, or for smaller ones)"
        )
    return min(CAP, max(FLOOR, ceil(MARGIN * seconds)))
