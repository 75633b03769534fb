"""One checkpoint's U-Net as jobs call it: by plan, and by recordings or compiled code where they serve."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from . import reuse
from .call_plan import CallPlan
from .calls import Conditioning, Prediction, Tensors, as_timestep, compose, unflatten
from .compiling import Compiler, Tell
from .graphs import Graphs, places_of
from .reuse import Forward
from .text_keys import kept_keys

Part = Callable[[UNet2DConditionModel, Forward, Tensors], tuple[Tensor, ...]]

NO_GRAPHS = "Going on without CUDA graphs"

log = logging.getLogger(__name__)


class FastUNet:
    """Run a U-Net's calls. Its graphs and compiled code are dropped with it."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        *,
        graphs: Graphs | None = None,
        compiler: Compiler | None = None,
    ) -> None:
        self.unet = unet
        self.graphs = graphs
        self.compiler = compiler
        self._bypasses = 0
        self._places: tuple[int, ...] = ()

    @contextmanager
    def running(
        self,
        plan: CallPlan,
        conditionings: Sequence[Conditioning],
        tell: Tell,
        known: Sequence[Prediction] = (),
    ) -> Iterator["UNetCalls"]:
        """Lend the calls of one batch, with a conditioning for each step or one for all.

        `tell` hears of what takes a while, and may raise. The first calls are not run where their answers are
        `known`.
        """
        if self.graphs is not None:
            self._check_places()
            self.graphs.begin_job()
        # A recording would keep the keys of the text it was recorded with, compiled code be compiled anew.
        is_plain = self.graphs is None and self.compiler is None
        try:
            with kept_keys(self.unet) if is_plain else nullcontext():
                yield UNetCalls(self, plan, conditionings, tell, known)
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

    def is_recorded(self, rows: int, height: int, width: int) -> bool:
        """Tell whether a call on latents of that size, twice as many rows as pictures if guided, is there."""
        shape = rows, self.unet.config.in_channels, height, width
        return self.graphs is not None and not self.graphs.off and self.graphs.holds("sample", shape)

    def give_up(self) -> bool:
        """Forget the graphs, and never again record their shapes: memory is short. Tell if there were any."""
        return self.graphs is not None and self.graphs.give_up()

    @property
    def limits(self) -> str:
        """Return in words what does not make the U-Net faster though it was meant to; empty if all does."""
        if self.graphs is not None and self.graphs.off:
            return f"without CUDA graphs, since {self.graphs.off}"
        if self.compiler is not None and self.compiler.error:
            return "without torch.compile, which did not work here"
        return ""

    def must_be_eager(self) -> bool:
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


class UNetCalls:
    """The U-Net for the length of one batch: latents and timestep in, a Prediction out."""

    def __init__(
        self,
        fast_unet: FastUNet,
        plan: CallPlan,
        conditionings: Sequence[Conditioning],
        tell: Tell,
        known: Sequence[Prediction] = (),
    ) -> None:
        self._fast = fast_unet
        self._unet = fast_unet.unet
        self._plan = plan
        self._conditionings = conditionings
        self._tell = tell
        self._known = known
        # Listed once: a job calls often, and the parts of a U-Net are many.
        self._parts = list(fast_unet.unet.modules())
        self._attentions = [part for part in self._parts if hasattr(part, "processor")]
        self._reuses = plan.cache_interval > 1 and reuse.can_reuse(fast_unet.unet)
        self._read: Conditioning | None = None  # at the last call
        self._deep: dict[int, Tensor] = {}  # by table: of AND several are run at a step
        self._calls = 0

    def __call__(self, latents: Tensor, timestep: Tensor) -> Prediction:
        """Predict at a timestep, of scaled latents, (B, 4, h, w), the noise of both halves, or of one."""
        if self._calls < len(self._known):
            self._calls += 1
            return self._known[self._calls - 1].to(latents.device)
        given = self._conditioning()
        channels = given.channels
        sample = latents if channels is None else torch.cat([latents, channels], dim=1)
        composed = given.weights != (1.0,)
        ended = self._plan.halves(self._calls)
        both = given.is_guided and (composed or not ended)
        outputs: list[Tensor] = []
        for number, table in enumerate([given.tensors if both else given.conditional, *given.more]):
            copies = len(table["encoder_hidden_states"]) // len(latents)
            tensors: Tensors = {
                "sample": torch.cat([sample] * copies) if copies > 1 else sample,
                "timestep": as_timestep(timestep, latents.device),
                **table,
            }
            noise_pred, is_full = self._predict(number, tensors)
            outputs += noise_pred.chunk(copies)
        self._calls += 1
        if not both:
            return Prediction(conditional=outputs[0], unconditional=None, is_full=is_full)
        unconditional, *conditionals = outputs
        if not composed:
            return Prediction(conditional=conditionals[0], unconditional=unconditional, is_full=is_full)
        return Prediction(
            conditional=compose(unconditional, conditionals, given.weights),
            unconditional=None if ended else unconditional,
            is_full=is_full,
            conditionals=tuple(conditionals),
        )

    def _conditioning(self) -> Conditioning:
        """Return what is read at this call; what was kept of another text's features is forgotten."""
        step = min(self._calls // self._plan.order, len(self._conditionings) - 1)
        given = self._conditionings[step]
        if given is not self._read:
            self._deep.clear()
            self._read = given
        return given

    def _predict(self, number: int, tensors: Tensors) -> tuple[Tensor, bool]:
        """Return the U-Net's output, and whether all of its blocks were run for it."""
        if not self._reuses:
            return self._execute("whole", whole, tensors)[0], True
        deep = self._deep.get(number)
        stale = deep is None or len(deep) != len(tensors["sample"])
        if stale or self._plan.is_full(self._calls):
            noise_pred, self._deep[number] = self._execute("full", reuse.full, tensors)
            return noise_pred, True
        assert deep is not None
        return self._execute("shallow", reuse.shallow, {**tensors, reuse.DEEP: deep})[0], False

    def _execute(self, kind: str, part: Part, tensors: Tensors) -> tuple[Tensor, ...]:
        fast = self._fast
        is_plain = fast.graphs is None and not (fast.compiler and kind == "whole")
        if is_plain or fast.must_be_eager() or any(map(has_hooks, self._parts)):
            return part(self._unet, self._unet, tensors)
        if fast.compiler and kind == "whole":
            return (fast.compiler.run(self._unet.forward, tensors, self._tell),)
        assert fast.graphs is not None
        were_off = fast.graphs.off
        outputs = fast.graphs.run(
            lambda places: part(self._unet, self._unet.forward, places),
            tensors,
            # With another attention processor, other kernels run.
            kind=(kind, *(attention.processor for attention in self._attentions)),
            left=self._plan.calls - self._calls,
        )
        if fast.graphs.off != were_off:
            log.warning("%s: %s", NO_GRAPHS, fast.graphs.off)
            self._tell(f"{NO_GRAPHS}: {fast.graphs.off}")
        return outputs


def whole(_: UNet2DConditionModel, forward: Forward, tensors: Tensors) -> tuple[Tensor]:
    """Run a U-Net as it is."""
    return (forward(**unflatten(tensors))[0],)


def has_hooks(module: nn.Module) -> bool:
    """Tell whether somebody listens to a module's calls, or has put himself in their place (offloading)."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))
