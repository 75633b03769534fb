"""One table of schedulers: the name people know -> diffusers' class and its settings.

A scheduler is made anew for every job from the checkpoint's original configuration, so that no setting of
one job leaks into the next. torch and diffusers are imported only when one is made.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SchedulerInfo:
    """How to make one scheduler. `name` is AUTOMATIC1111's label and what the infotext says."""

    name: str
    class_name: str  # in diffusers
    config: Mapping[str, Any] = field(default_factory=dict)  # over the checkpoint's own configuration
    note: str = ""
    max_steps: int | None = None


_DPM = {"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": False}
_DPM_SDE = {"algorithm_type": "sde-dpmsolver++", "solver_order": 2, "use_karras_sigmas": True}

_TABLE = (
    SchedulerInfo(
        name="DDIM",
        class_name="DDIMScheduler",
        # Latents are not bounded by 1 as pixels are, so x0 must not be clipped.
        config={"clip_sample": False},
        note="Even steps, no added noise. The one textbooks explain.",
    ),
    SchedulerInfo(
        name="DPM++ 2M",
        class_name="DPMSolverMultistepScheduler",
        config=_DPM,
        note="Second order at one U-Net call a step: good at 20 steps.",
    ),
    SchedulerInfo(
        name="DPM++ 2M Karras",
        class_name="DPMSolverMultistepScheduler",
        config={**_DPM, "use_karras_sigmas": True},
        note="As DPM++ 2M, with more of the steps where little noise is left.",
    ),
    SchedulerInfo(
        name="DPM++ 2M SDE Karras",
        class_name="DPMSolverMultistepScheduler",
        config=_DPM_SDE,
        note="Adds fresh noise on the way: more varied detail, 30 steps or more.",
    ),
    SchedulerInfo(
        name="Euler",
        class_name="EulerDiscreteScheduler",
        config={"use_karras_sigmas": False},
        note="The simplest solver.",
    ),
    SchedulerInfo(
        name="Euler a",
        class_name="EulerAncestralDiscreteScheduler",
        note="Adds fresh noise every step, so more steps change the picture.",
    ),
    SchedulerInfo(
        name="Heun",
        class_name="HeunDiscreteScheduler",
        config={"use_karras_sigmas": False},
        note="Second order at two U-Net calls a step: half as fast.",
    ),
    SchedulerInfo(
        name="UniPC",
        class_name="UniPCMultistepScheduler",
        config={"solver_order": 2},
        note="Predicts and corrects: good from 10 steps.",
    ),
    SchedulerInfo(
        name="LCM",
        class_name="LCMScheduler",
        config={"clip_sample": False},
        note="For models distilled to 2..8 steps; others come out soft.",
        max_steps=50,  # original_inference_steps: those that were distilled
    ),
    SchedulerInfo(
        name="PLMS",
        class_name="PNDMScheduler",
        config={"skip_prk_steps": True},
        note="Stable Diffusion's first sampler.",
    ),
)

SCHEDULERS: dict[str, SchedulerInfo] = {info.name: info for info in _TABLE}
SCHEDULER_NAMES: tuple[str, ...] = tuple(SCHEDULERS)


def find_scheduler(name: str) -> SchedulerInfo:
    """Return the table's row; raise ValueError listing the valid names."""
    try:
        return SCHEDULERS[name]
    except KeyError:
        raise ValueError(f"scheduler must be one of {', '.join(SCHEDULER_NAMES)}, got {name!r}") from None


def make_scheduler(name: str, original_config: Mapping[str, Any]) -> Any:
    """Make a fresh scheduler from a checkpoint's own scheduler configuration, never from another's."""
    import diffusers

    info = find_scheduler(name)
    scheduler_class = getattr(diffusers, info.class_name)
    return scheduler_class.from_config(dict(original_config), **info.config)


class StepWatcher:
    """Follow a scheduler's steps from outside and tell what clean latents each one points at."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._calls = 0
        self._model_output: Any = None
        self._sample: Any = None

    def see(self, model_output: Any, sample: Any) -> None:
        """Keep references to what goes into a step; nothing is computed."""
        self._model_output, self._sample = model_output, sample
        self._calls += 1

    def predicted_x0(self) -> Any:
        """Return the last step's x0, (B, 4, h, w): what is left when the predicted noise is taken away.

        With sigma = noise / signal and x = x0 + sigma * eps: eps-prediction gives x0 = x - sigma * eps;
        v-prediction gives x0 = (x / sqrt(1 + sigma^2) - sigma * v) / sqrt(1 + sigma^2) (Salimans & Ho 2022).
        """
        scheduler, output = self._scheduler, self._model_output
        sigma = self._sigma(self._calls - 1 + (getattr(scheduler, "begin_index", None) or 0))
        norm = (1 + sigma**2) ** 0.5
        # Schedulers whose first noise has variance 1 keep x / norm, the others x itself.
        x = self._sample * norm if float(scheduler.init_noise_sigma) == 1 else self._sample
        kind = scheduler.config.prediction_type
        if kind == "epsilon":
            return x - sigma * output
        if kind == "v_prediction":
            return x / norm**2 - output * (sigma / norm)
        return output  # "sample": the model says x0 itself

    def _sigma(self, index: int) -> float:
        if hasattr(self._scheduler, "sigmas"):
            return float(self._scheduler.sigmas[index])
        alpha = float(self._scheduler.alphas_cumprod[int(self._scheduler.timesteps[index])])
        return ((1 - alpha) / alpha) ** 0.5


@contextmanager
def watch_steps(scheduler: Any) -> Iterator[StepWatcher]:
    """Watch the step method of one scheduler object; what it computes stays bit for bit the same."""
    watcher, step = StepWatcher(scheduler), scheduler.step

    @wraps(step)  # pipelines read its signature to decide what to pass
    def watched(model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any) -> Any:
        watcher.see(model_output, sample)
        return step(model_output, timestep, sample, *args, **kwargs)

    scheduler.step = watched
    try:
        yield watcher
    finally:
        del scheduler.step
