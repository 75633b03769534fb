"""The observers' seat: who watches a run is told what passes, where it passes, and changes nothing.

An observer is any object with some of the methods of Observer; what it lacks is not called. Tensors are
handed over as they are, not copied: keep what you need, write into none. Raising an exception ends the job;
Cancelled stops it, and what is finished is kept. When memory runs out, a batch is begun anew, with
before_loop.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor

from ..checkpoints.model_info import ModelInfo
from ..requests import Txt2ImgRequest
from ..text.prompt_embeds import PromptEmbeds
from ..weights.pipeline import Pipeline
from ..weights.scheduling import Scheduler, predict_x0


@dataclass(frozen=True, kw_only=True, eq=False)
class LoopStart:
    """What a batch of B pictures begins with."""

    first: int  # the batch's first picture, counted in the whole job
    requests: tuple[Txt2ImgRequest, ...]  # each makes one of the pictures alone
    scheduler: Scheduler
    timesteps: Tensor  # (calls,): when the U-Net will be called
    latents: Tensor  # x_T, (B, 4, h, w)
    noise: Tensor  # (B, 4, h, w), of unit variance: what is in x_T beside a start picture
    # What the first step reads; each call tells its own. Of k prompts joined by AND there are k*B rows.
    prompt_embeds: Tensor  # (B, 77*n, D)
    negative_prompt_embeds: Tensor | None  # the same; None without guidance
    prompts: tuple[PromptEmbeds, ...]  # what is read at each step that is run
    original: Tensor | None  # the start picture's own latents, (1, 4, h, w)
    mask: Tensor | None  # how much of each latent is repainted, (h, w) in 0..1
    model: ModelInfo
    pipe: Pipeline  # the parts the batch runs with: to be read, never changed

    @property
    def num_steps(self) -> int:
        """Return the steps as people count them: a second-order scheduler takes two calls for one."""
        return -(-len(self.timesteps) // self.scheduler.order)


@dataclass(frozen=True, kw_only=True, eq=False)
class UNetCall:
    """One call of the U-Net."""

    index: int  # from 0
    timestep: Tensor  # t, a number
    model_input: Tensor  # x_t as the scheduler scales it for the U-Net, (B, 4, h, w)
    conditional: Tensor  # eps(x_t, t, prompt), (B, 4, h, w), or v; see the scheduler's prediction_type
    unconditional: Tensor | None  # of the negative prompt; None: this half was not run, or does not count
    is_full: bool  # False: deep features of an earlier step stood in for the deep blocks (cache_interval)
    prompts: PromptEmbeds  # the texts read at this call, and what they became
    # Of prompts joined by AND each one's own; `conditional` is then what their weights make of them.
    conditionals: tuple[Tensor, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class StepTaken:
    """One step of the scheduler."""

    index: int  # of the U-Net's call, from 0
    num_calls: int
    timestep: Tensor
    latents: Tensor  # x_t, (B, 4, h, w)
    noise_pred: Tensor  # after guidance
    stepped: Tensor  # x_t-1 as the scheduler gives it
    next_latents: Tensor  # x_t-1 with what is kept put back; the same tensor where nothing is
    scheduler: Scheduler

    @property
    def step(self) -> int:
        """Return the step as people count, from 0."""
        return self.index // self.scheduler.order

    @cached_property
    def predicted_x0(self) -> Tensor:
        """Return the clean latents this step points at, (B, 4, h, w); worked out when first asked for."""
        return predict_x0(self.scheduler, self.index, self.timestep, self.noise_pred, self.latents)


class Observer:
    """What an observer may have; these do nothing.

    With `needs_every_part` it listens to the U-Net's parts, or replaces their processors by ones that give
    the same: then the U-Net is run as Python at every call, each of its parts once, or the request is
    refused.
    """

    needs_every_part = False

    def before_loop(self, start: LoopStart) -> None:
        """Take what a batch begins with."""

    def on_unet_call(self, call: UNetCall) -> None:
        """Take a call's input and outputs."""

    def on_step(self, step: StepTaken) -> None:
        """Take a step's both sides."""

    def after_decoding(self, latents: Tensor, images: Sequence[Image.Image]) -> None:
        """Take the last latents, (B, 4, h, w), and the pictures made of them."""

    def on_kept(self, first: int, images: Sequence[Image.Image]) -> None:
        """Take a batch's finished pictures, what an inpainting keeps put back; `first` is their number."""

    def listening(self, unet: UNet2DConditionModel) -> AbstractContextManager[object]:
        """Return a context around a batch's calls in which hooks and processors may be set."""
        return nullcontext()


class Observers:
    """All observers of a run, spoken to as one."""

    def __init__(self, observers: Sequence[object]) -> None:
        self.observers = tuple(observers)

    @property
    def needs_every_part(self) -> bool:
        """Tell whether one of them must see each part of the U-Net called."""
        return any(getattr(observer, "needs_every_part", False) for observer in self.observers)

    def tell(self, method: str, *known: object) -> None:
        """Call a method of everybody who has it, in order."""
        for observer in self.observers:
            if (listen := getattr(observer, method, None)) is not None:
                listen(*known)

    @contextmanager
    def listening(self, unet: UNet2DConditionModel) -> Iterator[None]:
        """Let everybody set up hooks; whoever came last is taken away first."""
        with ExitStack() as stack:
            for observer in self.observers:
                if (listen := getattr(observer, "listening", None)) is not None:
                    stack.enter_context(listen(unet))
            yield
