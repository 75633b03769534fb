"""The denoising loop asks no number of a tensor that would lie on the GPU: each time would be a wait for it.

On a CPU such a question is free, so it is looked for: what comes out of the U-Net and the scheduler's
timesteps are marked, what is computed from marked tensors is marked too, and every Python number that is
read from a marked tensor counts. The schedulers' sigmas, which diffusers keeps in main memory, are not.
"""

from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sd_app import Img2ImgRequest, Step, Txt2ImgRequest
from tests.test_speed import HOUSE

STEPS = 6

ResultT = TypeVar("ResultT")


class Questions(TorchDispatchMode):
    """Count the numbers that Python reads from tensors on an imagined device."""

    def __init__(self) -> None:
        super().__init__()
        self.marked: WeakValueDictionary[int, torch.Tensor] = WeakValueDictionary()
        self.count = 0
        self.during: list[int] = []  # the counts at each step's end

    def mark(self, *tensors: torch.Tensor) -> None:
        for tensor in tensors:
            self.marked[id(tensor)] = tensor

    def __torch_dispatch__(
        self,
        func: Callable[..., ResultT],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> ResultT:
        output = func(*args, **(kwargs or {}))
        if any(self.marked.get(id(leaf)) is leaf for leaf in tree_leaves((args, kwargs)) if is_tensor(leaf)):
            if func in READS:
                self.count += 1
            self.mark(*filter(is_tensor, tree_leaves(output)))
        return output


def is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


aten = torch.ops.aten
READS = {aten._local_scalar_dense.default, aten.is_nonzero.default, aten.equal.default, aten.nonzero.default}


def questions_of(studio, request, *, preview_every: int = 0) -> tuple[list[int], list[int]]:
    """Return how many questions each step asks, and the steps that have a preview."""
    studio.warm_up()
    with studio._ready_manager().pipeline(request.model or "tiny-sd", "DDIM") as pipe:
        unet = pipe.unet
    asked = Questions()
    counts, previews = [], []

    def enter(_module: object, _args: object, known: dict[str, torch.Tensor]) -> None:
        asked.mark(known["sample"], known["timestep"])

    def leave(_module: object, _args: object, output: tuple[torch.Tensor]) -> None:
        asked.mark(output[0])

    def on_step(step: Step) -> None:
        if step.text == "Denoising" and step.step:
            counts.append(asked.count)
            if step.preview is not None:
                previews.append(step.step)

    handles = [unet.register_forward_pre_hook(enter, with_kwargs=True), unet.register_forward_hook(leave)]
    kind = "img2img" if isinstance(request, Img2ImgRequest) else "txt2img"
    try:
        with asked:
            getattr(studio, kind)(request, on_step, preview_every=preview_every, save=False)
    finally:
        for handle in handles:
            handle.remove()
    steps = [after - before for before, after in zip([0, *counts], counts, strict=False)]
    return steps, previews


@pytest.mark.parametrize("scheduler", ["DPM++ 2M Karras", "DPM++ 2M", "Euler"])
@pytest.mark.parametrize(
    "change", [{}, {"guidance_end": 0.5}, {"cache_interval": 2}, {"num_images": 2}, {"guidance_scale": 1}]
)
def test_no_step_after_the_first_asks_for_a_number(studio, scheduler, change):
    request = Txt2ImgRequest(prompt="a cat", scheduler=scheduler, num_inference_steps=STEPS, seed=1, **change)
    steps, _ = questions_of(studio, request)
    assert len(steps) == STEPS
    # At first diffusers looks the timestep up in its list.
    assert steps[1:] == [0] * (STEPS - 1)


def test_img2img_asks_for_none_either(studio):
    request = Img2ImgRequest(
        prompt="a cat", init_image=HOUSE, scheduler="Euler", num_inference_steps=STEPS, strength=1
    )
    steps, _ = questions_of(studio, request)
    assert steps == [0] * STEPS


def test_a_preview_does_not_ask_the_loop_but_copies_once(studio):
    """The copy of the small picture itself, `.cpu()`, is the one wait, and only where a preview is due."""
    request = Txt2ImgRequest(prompt="a cat", scheduler="DPM++ 2M Karras", num_inference_steps=STEPS, seed=1)
    steps, previews = questions_of(studio, request, preview_every=3)
    assert previews == [3, 6]
    assert [count for number, count in enumerate(steps, 1) if number not in (1, 3, 6)] == [0, 0, 0]


def test_a_scheduler_that_does_ask_is_noticed(studio):
    request = Txt2ImgRequest(prompt="a cat", scheduler="LCM", num_inference_steps=STEPS, seed=1)
    steps, _ = questions_of(studio, request)
    assert min(steps) > 0
