"""How much one visitor may have in the line, said in words."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..checkpoints.model_info import ModelInfo
from ..requests import Txt2ImgRequest
from .jobs import Job

USUAL_SIDE, USUAL_STEPS = 512, 25  # of a request that leaves them to a model that is not known
MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the line takes."""

    waiting: int  # jobs of one owner
    everybody: int  # jobs of all
    work: int | None = None  # pixels x steps of all pictures one owner has in the line; None: any

    def check(self, line: Iterable[Job], new: Job) -> None:
        """Raise ValueError if one job more is too much. `line` is what waits."""
        waiting = list(line)
        own = [job for job in waiting if job.owner == new.owner]
        if len(own) >= self.waiting:
            raise ValueError(
                f"the line takes {self.waiting} waiting jobs of one person, and yours are {len(own)}"
                " (wait until one is done, or remove one)"
            )
        if len(waiting) >= self.everybody:
            raise ValueError(
                f"{len(waiting)} jobs are waiting already, which is the most (try again in a while)"
            )
        if self.work is None:
            return
        work = new.work + sum(job.work for job in own)
        if work > self.work:
            raise ValueError(
                "width x height x steps of all pictures that one person has waiting must be at most"
                f" {_millions(self.work)}, this job would make it {_millions(work)}"
                " (ask for fewer or smaller pictures, or fewer steps)"
            )


# The owner of the machine, and visitors: 12,000 million are about 380 SDXL pictures of 30 steps.
OWNER = Limits(waiting=1000, everybody=1000)
VISITOR = Limits(waiting=20, everybody=200, work=12_000 * MILLION)


def work_of(request: Txt2ImgRequest, model: ModelInfo | None) -> int:
    """Return width x height x steps of all pictures of a request; what it leaves out is the model's."""
    side = model.native_size if model else USUAL_SIDE
    steps = request.num_inference_steps or (model.default_steps if model else USUAL_STEPS)
    return (request.width or side) * (request.height or side) * steps * request.num_pictures


def _millions(number: int) -> str:
    return f"{round(number / MILLION):,} million"
