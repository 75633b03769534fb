"""What if fewer steps: the same noise, the same first noise level, 200, 50, 20, 10 and 5 steps.

"Leading" spacing begins 5 steps at timestep 801 of 999 and 50 at 981, which compares something else; so the
spacing is chosen that always begins at the strongest noise, "trailing" (Lin et al. 2023, table 2), or of a
sampler that has none, Karras' noise levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ..probes.recorder import Recorder
from ..requests import Img2ImgRequest, Txt2ImgRequest, count_steps, schedule_types_of
from .film import strip
from .look import Look
from .panel import PanelFiles

COUNTS = (200, 50, 20, 10, 5)
FROM_THE_TOP = ("SGM Uniform", "Karras")  # schedule types that begin at the strongest noise
SAME_LEVEL = 30  # timesteps of 1,000: starts nearer than this count as one


@dataclass(frozen=True, kw_only=True)
class OtherCount:
    """The picture that another number of steps makes."""

    steps: int  # of the schedule
    calls: int  # of the U-Net
    timestep: float  # of the first call
    sigma: float  # noise / signal there
    image: Image.Image


def with_steps(request: Txt2ImgRequest, count: int) -> Txt2ImgRequest:
    """Return a resolved request with another number of steps that begin at the same noise."""
    known = schedule_types_of(request.scheduler)
    wanted = next((name for name in FROM_THE_TOP if name in known), request.schedule_type)
    return replace(request, num_inference_steps=count, schedule_type=wanted)


def with_fewer_steps(look: Look, counts: Sequence[int] = COUNTS) -> tuple[list[OtherCount], list[str]]:
    """Make the request's picture with other numbers of steps; return them and what could not be made."""
    made: list[OtherCount] = []
    said: list[str] = []
    for count in counts:
        if isinstance(look.request, Img2ImgRequest) and not count_steps(count, look.request.strength):
            said.append(f"{count} steps are too few: at this strength none of them would be run.")
            continue
        recorder = Recorder()
        try:
            result = look.rerun(with_steps(look.request, count), observers=[recorder])
        except ValueError as error:  # a distilled model knows no more than its own
            said.append(f"{count} steps cannot be made: {error}.")
            continue
        recording = recorder.recordings[0]
        made.append(
            OtherCount(
                steps=count,
                calls=recording.num_calls,
                timestep=float(recording.timesteps[0]),
                sigma=float(recording.sigmas[0]),
                image=result.images[0],
            )
        )
    return made, said


def make_fewer_steps(look: Look) -> PanelFiles:
    """Make the pictures side by side, and how far each is from that of the most steps."""
    made, said = with_fewer_steps(look)
    if not made:
        raise ValueError(" ".join(said))
    most = np.asarray(made[0].image.convert("RGB"), np.float32)
    away = [float(np.abs(np.asarray(one.image.convert("RGB"), np.float32) - most).mean()) for one in made]
    rows = [
        [one.steps, one.calls, one.timestep, one.sigma, distance]
        for one, distance in zip(made, away, strict=True)
    ]
    starts = [one.timestep for one in made]
    if max(starts) - min(starts) > SAME_LEVEL:
        said.append(
            "Not all begin at the same noise level with this sampler, so that they compare more than steps."
        )
    used = with_steps(look.request, made[0].steps)
    said.append(f"Sampler {used.scheduler}, schedule type {used.schedule_type}, one noise.")
    return PanelFiles(
        pictures={"pictures": strip([one.image for one in made], [f"{one.steps} steps" for one in made])},
        tables={
            "steps": [
                ["steps", "unet_calls", "first_timestep", "first_noise_over_signal", "mean_difference"],
                *rows,
            ]
        },
        said=said,
    )
