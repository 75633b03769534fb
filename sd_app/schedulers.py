"""Tables of samplers and schedule types: the names people know -> diffusers' class and its settings.

A sampler says how a step is taken, a schedule type which noise levels the steps stop at; AUTOMATIC1111 has
them as two choices since version 1.9, and its names are ours. Together they have one full name, such as
"DPM++ 2M Karras". A scheduler is made anew for every job (weights/scheduling.py) from the checkpoint's
original configuration, so that no setting of one job leaks into the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

UNIFORM, AUTOMATIC = "Uniform", "Automatic"


@dataclass(frozen=True, kw_only=True)
class SchedulerInfo:
    """How to make one scheduler. `name` is AUTOMATIC1111's label and what the infotext says."""

    name: str
    class_name: str  # in weights/samplers.py, else in diffusers
    config: Mapping[str, object] = field(default_factory=dict)  # over the checkpoint's own configuration
    note: str = ""
    max_steps: int | None = None
    schedule_types: tuple[str, ...] = (UNIFORM,)  # those it can follow
    automatic: str = UNIFORM  # the schedule type that AUTOMATIC1111 takes for "Automatic"
    schedule_type: str = UNIFORM  # the one it follows

    @property
    def full_name(self) -> str:
        """Return sampler and schedule type as one name, as AUTOMATIC1111 had it before version 1.9."""
        return self.name if self.schedule_type == UNIFORM else f"{self.name} {self.schedule_type}"


class Sampling(NamedTuple):
    """A sampler and a schedule type that it can follow, by our names."""

    scheduler: str
    schedule_type: str


# The noise levels between the model's largest and smallest, closer together where little noise is left
# (Karras et al. 2022, eq. 5, rho 7), evenly in their logarithm, or by the quantiles of a beta distribution
# (Lee et al. 2024). All three begin at the model's largest noise, whatever its own spacing says.
_SIGMAS: dict[str, dict[str, object]] = {
    "Karras": {"use_karras_sigmas": True, "timestep_spacing": "linspace"},
    "Exponential": {"use_exponential_sigmas": True, "timestep_spacing": "linspace"},
    "Beta": {"use_beta_sigmas": True, "timestep_spacing": "linspace"},
}
# Even steps in time (Lin et al. 2023, table 2); Uniform leaves the choice among them to the model.
_SPACINGS: dict[str, dict[str, object]] = {
    "SGM Uniform": {"timestep_spacing": "trailing"},
    "Normal": {"timestep_spacing": "linspace"},
    "DDIM": {"timestep_spacing": "leading"},
}
_CONFIGS: dict[str, dict[str, object]] = {UNIFORM: {}, **_SIGMAS, **_SPACINGS}
SCHEDULE_TYPES: tuple[str, ...] = tuple(_CONFIGS)

_SPACED = (UNIFORM, *_SPACINGS)
_STRIDES = (UNIFORM, "SGM Uniform", "DDIM")  # of what takes steps of one length in time, which Normal has not
_ALL = SCHEDULE_TYPES
_EVEN = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
_DPM = {**_EVEN, "algorithm_type": "dpmsolver++", "solver_order": 2}
_DPM_SDE = {**_DPM, "algorithm_type": "sde-dpmsolver++"}

_TABLE = (
    SchedulerInfo(
        name="DDIM",
        class_name="DDIMScheduler",
        # Latents are not bounded by 1 as pixels are, so x0 must not be clipped.
        config={"clip_sample": False},
        note="Even steps, no added noise. The one that textbooks explain.",
        schedule_types=_STRIDES,
    ),
    SchedulerInfo(
        name="DPM++ 2M",
        class_name="DPMSolverMultistepScheduler",
        config=_DPM,
        note="Second order at one U-Net call a step: good at 20 steps.",
        schedule_types=_ALL,
        automatic="Karras",
    ),
    SchedulerInfo(
        name="DPM++ 2M SDE",
        class_name="DPMSolverMultistepScheduler",
        config=_DPM_SDE,
        note="Adds fresh noise on the way: more varied detail, 30 steps or more.",
        schedule_types=_ALL,
        automatic="Exponential",
    ),
    SchedulerInfo(
        name="DPM++ 2M SDE Heun",
        class_name="DPMSolverMultistepScheduler",
        config={**_DPM_SDE, "solver_type": "heun"},
        note="As DPM++ 2M SDE, with another second-order term.",
        schedule_types=_ALL,
        automatic="Exponential",
    ),
    SchedulerInfo(
        name="DPM++ 3M SDE",
        class_name="DPMSolverMultistepScheduler",
        config={**_DPM_SDE, "solver_order": 3},
        note="Third order, adds fresh noise on the way: 30 steps or more.",
        schedule_types=_ALL,
        automatic="Exponential",
    ),
    SchedulerInfo(
        name="DPM++ SDE",
        class_name="DPMSolverSinglestepScheduler",
        config={**_DPM_SDE, "lower_order_final": True},
        note="Adds fresh noise on the way, and restarts every two steps.",
        schedule_types=(UNIFORM, *_SIGMAS),  # its spacing cannot be chosen
        automatic="Karras",
    ),
    SchedulerInfo(
        name="DPM++ 2S",
        class_name="DPMSolverSinglestepScheduler",
        config={**_DPM, "lower_order_final": True},
        note="Second order, restarts every two steps.",
        schedule_types=(UNIFORM, *_SIGMAS),
    ),
    SchedulerInfo(
        name="Euler",
        class_name="EulerDiscreteScheduler",
        config=_EVEN,
        note="The simplest solver.",
        schedule_types=_ALL,
    ),
    SchedulerInfo(
        name="Euler a",
        class_name="EulerAncestralScheduler",
        config=_EVEN,
        note="Adds fresh noise every step, so more steps change the picture.",
        schedule_types=_ALL,
    ),
    SchedulerInfo(
        name="Heun",
        class_name="HeunDiscreteScheduler",
        config=_EVEN,
        note="Second order at two U-Net calls a step: half as fast.",
        schedule_types=_ALL,
    ),
    SchedulerInfo(
        name="UniPC",
        class_name="UniPCMultistepScheduler",
        config={**_EVEN, "solver_order": 2},
        note="Predicts and corrects: good from 10 steps.",
        schedule_types=_ALL,
    ),
    SchedulerInfo(
        name="DEIS",
        class_name="DEISScheduler",
        config={**_EVEN, "solver_order": 2},
        note="Second order at one U-Net call a step: good from 15 steps.",
        schedule_types=_ALL,
    ),
    SchedulerInfo(
        name="LMS",
        class_name="LMSScheduler",
        config=_EVEN,
        note="Fourth order at one U-Net call a step: 30 steps or more.",
        schedule_types=_ALL,
    ),
    SchedulerInfo(
        name="DPM2",
        class_name="KDPM2DiscreteScheduler",
        config=_EVEN,
        note="Second order at two U-Net calls a step: half as fast.",
        schedule_types=_ALL,
        automatic="Karras",
    ),
    SchedulerInfo(
        name="DPM2 a",
        class_name="KDPM2AncestralDiscreteScheduler",
        config=_EVEN,
        note="As DPM2, and adds fresh noise every step.",
        schedule_types=_ALL,
        automatic="Karras",
    ),
    SchedulerInfo(
        name="DDPM",
        class_name="DDPMScheduler",
        config={"clip_sample": False},
        note="As the model was trained, with fresh noise every step: 100 steps or more.",
        schedule_types=_SPACED,
    ),
    SchedulerInfo(
        name="LCM",
        class_name="LCMScheduler",
        config={"clip_sample": False},
        note="For models distilled to 2 to 8 steps; other models look blurry.",
        max_steps=50,  # original_inference_steps: those that were distilled
    ),
    SchedulerInfo(
        name="TCD",
        class_name="TCDScheduler",
        config={"clip_sample": False},
        note="For models distilled to 2 to 8 steps by TCD; other models look blurry.",
        max_steps=50,
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


def find_scheduler(name: str, schedule_type: str | None = None) -> SchedulerInfo:
    """Return a sampler's row with a schedule type's settings; `name` may be the full name of both.

    Without a schedule type it is Uniform. Raise ValueError listing the valid names, for a schedule type that
    the sampler cannot follow too.
    """
    sampler, wanted = name_sampling(name, schedule_type)
    if sampler not in SCHEDULERS:
        meant = find_sampler(name)
        hint = f" ({meant.scheduler}, perhaps)" if meant else ""
        raise ValueError(f"scheduler must be one of {', '.join(SCHEDULER_NAMES)}, got {name!r}{hint}")
    info = SCHEDULERS[sampler]
    if wanted == AUTOMATIC:
        wanted = info.automatic
    if wanted not in info.schedule_types:
        known = ", ".join(info.schedule_types)
        rule = f"one of {known}" if len(info.schedule_types) > 1 else known
        raise ValueError(
            f"schedule_type must be {rule} with {sampler}, got {wanted!r} (choose that, or another sampler)"
        )
    return replace(info, schedule_type=wanted, config={**info.config, **_CONFIGS[wanted]})


def name_sampling(scheduler: str | None, schedule_type: str | None) -> tuple[str | None, str | None]:
    """Return sampler and schedule type as a request keeps them.

    A full name is split, if there is such a sampler; a sampler alone is Uniform; None stays for the model's
    own. Raise ValueError for a full name and another schedule type.
    """
    if scheduler is None:
        return None, schedule_type
    sampler, said = split_name(scheduler)
    if said is None or sampler not in SCHEDULERS:
        return scheduler, schedule_type or UNIFORM
    if schedule_type not in (None, UNIFORM, AUTOMATIC, said):
        raise ValueError(
            f"schedule_type must be {said} with the sampler {scheduler}, got {schedule_type!r}"
            f" (leave it out, or choose {sampler})"
        )
    return sampler, said


def schedule_types_of(scheduler: object) -> tuple[str, ...]:
    """Return the schedule types that a sampler can follow, none of one that is not here."""
    info = SCHEDULERS.get(scheduler) if isinstance(scheduler, str) else None
    return info.schedule_types if info else ()


def split_name(name: str) -> tuple[str, str | None]:
    """Split a full name, known or not, into sampler and schedule type; None where it names no such type."""
    for schedule_type in sorted(SCHEDULE_TYPES, key=len, reverse=True):
        sampler = name.removesuffix(f" {schedule_type}")
        if sampler.strip() and sampler != name:
            return sampler, schedule_type
    return name, None


# -- other programs' names, in lower case, without spaces, dashes and underscores, "pp" written as "++"

_OTHER_SAMPLERS = {
    **{name.lower().replace(" ", ""): name for name in SCHEDULERS},
    "ddimv3": "DDIM",
    "dpmsolver++": "DPM++ 2M",
    "dpmsolvermultistep": "DPM++ 2M",
    "dpm2m": "DPM++ 2M",
    "dpm++": "DPM++ 2S",
    "dpmsolversinglestep": "DPM++ 2S",
    "dpmsde": "DPM++ SDE",
    "dpmsolversde": "DPM++ SDE",
    "eulerdiscrete": "Euler",
    "eulerancestral": "Euler a",
    "eulerancestraldiscrete": "Euler a",
    "heundiscrete": "Heun",
    "unipcbh1": "UniPC",
    "unipcbh2": "UniPC",
    "unipcmultistep": "UniPC",
    "deismultistep": "DEIS",
    "lmsd": "LMS",
    "lmsdiscrete": "LMS",
    "dpm2discrete": "DPM2",
    "dpm2ancestral": "DPM2 a",
    "dpm2ancestraldiscrete": "DPM2 a",
    "pndm": "PLMS",
}
_OTHER_SCHEDULES = {
    **{name.lower().replace(" ", ""): name for name in SCHEDULE_TYPES},
    "automatic": AUTOMATIC,
    "native": UNIFORM,  # NovelAI
    "default": UNIFORM,  # SD.Next
    "k": "Karras",  # InvokeAI
    "ka": "Karras",  # AUTOMATIC1111's API
    "exp": "Exponential",
    "polyexponential": "Exponential",  # the same at its usual rho of 1
    "betas": "Beta",  # SD.Next
    "sgm": "SGM Uniform",
    "simple": "SGM Uniform",  # ComfyUI's: the same timesteps, but for rounding
    "trailing": "SGM Uniform",
    "linspace": "Normal",
    "discrete": "Normal",  # stable-diffusion.cpp
    "ddimuniform": "DDIM",
    "leading": "DDIM",
}


def find_sampler(name: str, schedule: str = "") -> Sampling | None:
    """Return our names of a sampler and a schedule type that any program wrote; None if one is not here.

        find_sampler("DPM++ 2M Karras")             -> ("DPM++ 2M", "Karras")      AUTOMATIC1111, old
        find_sampler("DPM++ 2M", "Automatic")       -> ("DPM++ 2M", "Karras")      and since 1.9
        find_sampler("dpmpp_2m_sde_gpu", "karras")  -> ("DPM++ 2M SDE", "Karras")  ComfyUI, Fooocus
        find_sampler("kdpm_2_a_k")                  -> ("DPM2 a", "Karras")        InvokeAI
        find_sampler("k_euler", "native")           -> ("Euler", "Uniform")        NovelAI
        find_sampler("UniPCMultistepScheduler")     -> ("UniPC", "Uniform")        diffusers

    What it returns is always a pair that goes together here: find_scheduler takes it. `schedule` is what
    stands in a field of its own; a schedule type inside the name goes before it, as in AUTOMATIC1111, and
    none at all is Uniform, as it was when only the name said it. Where the answer is None,
    `find_sampler(name)` tells whether the sampler is here and only its schedule type is not.
    """
    sampler, in_name = _split_other(_squeezed(name))
    if sampler is None:
        return None
    wanted = _OTHER_SCHEDULES.get(in_name or _squeezed(schedule) or "uniform", "")
    info = SCHEDULERS[sampler]
    if wanted == AUTOMATIC:
        wanted = info.automatic
    return Sampling(sampler, wanted) if wanted in info.schedule_types else None


def _split_other(squeezed: str) -> tuple[str | None, str]:
    """Return the sampler in a squeezed name, None if there is none, and what follows it of schedule types."""
    plain = squeezed.removesuffix("scheduler")
    for start in (plain, plain.removeprefix("sample"), plain.removeprefix("k")):
        for schedule in ("", *sorted(_OTHER_SCHEDULES, key=len, reverse=True)):
            if not start.endswith(schedule):
                continue
            sampler = start.removesuffix(schedule).removesuffix("gpu")
            if sampler in _OTHER_SAMPLERS:
                return _OTHER_SAMPLERS[sampler], schedule
    return None, ""


def _squeezed(name: str) -> str:
    squeezed = "".join(name.lower().translate(str.maketrans("_-/", "   ")).split())
    return squeezed.replace("dpmpp", "dpm++").replace("plusplus", "++")
