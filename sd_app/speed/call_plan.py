"""What a batch's U-Net calls shall be: how many, how many of them guided, how many in full."""

from dataclasses import dataclass

from ..requests import Txt2ImgRequest, count_steps


@dataclass(frozen=True, kw_only=True)
class CallPlan:
    """The U-Net calls of one batch. The defaults leave them all as they are."""

    calls: int = 0  # about how many there will be; 0: not known
    guided_calls: int | None = None  # from then on only the conditional half is run; None: never
    cache_interval: int = 1  # every so many steps the deep blocks are run
    order: int = 1  # U-Net calls a step

    @property
    def changes_pictures(self) -> bool:
        return self.guided_calls is not None or self.cache_interval > 1

    def halves(self, index: int) -> bool:
        """Tell whether call `index`, from 0, leaves the unconditional half out."""
        return self.guided_calls is not None and index >= self.guided_calls

    def is_full(self, index: int) -> bool:
        """Tell whether call `index`, from 0, belongs to a step that runs the deep blocks."""
        return index // self.order % self.cache_interval == 0


def plan_calls(request: Txt2ImgRequest, num_steps: int, *, order: int, is_guided: bool) -> CallPlan:
    """Return the plan of a resolved request that runs so many steps with a scheduler of this order."""
    guided_steps = count_steps(num_steps, request.guidance_end)
    return CallPlan(
        calls=num_steps * order,
        guided_calls=guided_steps * order if is_guided and guided_steps < num_steps else None,
        cache_interval=request.cache_interval,
        order=order,
    )
