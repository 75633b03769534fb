"""One table of schedulers: the name people know -> diffusers' class and its settings.

A scheduler is made anew for every job (weights/scheduling.py) from the checkpoint's original configuration,
so that no setting of one job leaks into the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class SchedulerInfo:
    """How to make one scheduler. `name` is AUTOMATIC1111's label and what the infotext says."""

    name: str
    class_name: str  # in diffusers
    config: Mapping[str, object] = field(default_factory=dict)  # over the checkpoint's own configuration
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
