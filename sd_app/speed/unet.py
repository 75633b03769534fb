"""One checkpoint's U-Net as jobs run it: by plan, and by recordings or compiled code where that is the same.

For the length of a job its `forward` is another one, so pipelines know nothing of all this.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from . import reuse
from .call_plan import CallPlan
from .calls import Tensors, conditional_half, flatten, unflatten
from .compiling import Compiler, Tell
from .graphs import Graphs, places_of
from .reuse import Forward, replaced_forwards

Part = Callable[[Any, Forward, Tensors], tuple[Tensor, ...]]


class FastUNet:
    """Run a U-Net's calls. Its graphs and compiled code are dropped with it."""

    def __init__(self, unet: Any, *, graphs: Graphs | None = None, compiler: Compiler | None = None) -> None:
        self.unet = unet
        self.graphs = graphs
        self.compiler = compiler
        self._bypasses = 0
        self._places: tuple[int, ...] = ()

    @contextmanager
    def running(self, plan: CallPlan, tell: Tell) -> Iterator[None]:
        """Run the calls of one job by plan. `tell` hears of what takes a while, and may raise."""
        if not (plan.changes_pictures or self.graphs is not None or self.compiler):
            yield
            return
        if self.graphs is not None:
            self._check_places()
            self.graphs.begin_job()
        try:
            with replaced_forwards({self.unet: Run(self, plan, tell)}):
                yield
        finally:
            if self.compiler:
                self.compiler.save()

    @contextmanager
    def bypass(self) -> Iterator[None]:
        """Run eagerly: whoever watches the U-Net's parts wants each of them to be called."""
        self._bypasses += 1
        try:
            yield
        finally:
            self._bypasses -= 1

    def drop(self) -> None:
        """Forget what was recorded or compiled, for weights that move or go. It is made again when needed."""
        self._places = ()
        if self.graphs is not None:
            self.graphs.drop()
        if self.compiler:
            self.compiler.drop()

    def give_up(self) -> bool:
        """Forget the graphs, and never again record their shapes: memory is short. Tell if there were any."""
        return self.graphs is not None and self.graphs.give_up()

    def is_watched(self) -> bool:
        """Tell whether the U-Net must be run as Python: somebody watches, or wants gradients or casts."""
        if self._bypasses or torch.is_grad_enabled() or self.unet.training:
            return True
        return torch.is_autocast_enabled(self.unet.device.type)

    def _check_places(self) -> None:
        assert self.graphs is not None
        places = places_of(self.unet)
        if places != self._places:
            self.graphs.drop()
            self._places = places


class Run:
    """The forward of a U-Net for the length of one job."""

    def __init__(self, fast_unet: FastUNet, plan: CallPlan, tell: Tell) -> None:
        self._fast = fast_unet
        self._unet = fast_unet.unet
        self._plan = plan
        self._tell = tell
        # Offload hooks live in a forward of their own: weights then come and go.
        self._is_offloaded = "forward" in vars(fast_unet.unet)
        self._forward = fast_unet.unet.forward
        # Listed once: a job calls often, and the parts of a U-Net are many.
        self._parts = list(fast_unet.unet.modules())[1:]
        self._attentions = [part for part in self._parts if hasattr(part, "processor")]
        self._reuses = plan.cache_interval > 1 and reuse.can_reuse(fast_unet.unet)
        self._deep: Tensor | None = None
        self._calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tensors = flatten(args, kwargs)
        if tensors is None:
            return self._forward(*args, **kwargs)
        halves = self._plan.halves(self._calls)
        if halves:
            tensors = conditional_half(tensors)
        noise_pred = self._predict(tensors)
        self._calls += 1
        # Twice the same: uncond + scale * (cond - uncond) is then cond, whatever the scale.
        return (torch.cat([noise_pred] * 2) if halves else noise_pred,)

    def _predict(self, tensors: Tensors) -> Tensor:
        if not self._reuses:
            return self._execute("whole", whole, tensors)[0]
        stale = self._deep is None or len(self._deep) != len(tensors["sample"])
        if stale or self._plan.is_full(self._calls):
            noise_pred, self._deep = self._execute("full", reuse.full, tensors)
            return noise_pred
        assert self._deep is not None
        return self._execute("shallow", reuse.shallow, {**tensors, reuse.DEEP: self._deep})[0]

    def _execute(self, kind: str, part: Part, tensors: Tensors) -> tuple[Tensor, ...]:
        fast = self._fast
        if self._is_offloaded or fast.is_watched() or any(map(has_hooks, self._parts)):
            return part(self._unet, self._forward, tensors)
        if fast.compiler and kind == "whole":
            return (fast.compiler.run(self._forward, tensors, self._tell),)
        if fast.graphs is None:
            return part(self._unet, self._forward, tensors)
        return fast.graphs.run(
            lambda places: part(self._unet, self._forward, places),
            tensors,
            # With another attention processor, other kernels run.
            kind=(kind, *(attention.processor for attention in self._attentions)),
            left=self._plan.calls - self._calls,
        )


def whole(_: Any, forward: Forward, tensors: Tensors) -> tuple[Tensor]:
    """Run a U-Net as it is."""
    return (forward(**unflatten(tensors))[0],)


def has_hooks(module: nn.Module) -> bool:
    """Tell whether somebody listens to a module's calls."""
    return bool(module._forward_hooks or module._forward_pre_hooks)
