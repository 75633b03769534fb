"""What a run begins from: pure noise, or a picture's latents under noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Generator, Tensor

from ..pictures.placement import Placement
from ..requests import Img2ImgRequest, Txt2ImgRequest
from ..weights.pipeline import Pipeline
from ..weights.scheduling import check_first_signal, set_steps
from .vae import encode_image, round_trip

# The state of torch's generator in bytes: the seed and two counters, then the Mersenne Twister's words of 32
# bits in 64 each.
_STATE_AT, _WORDS = 24, 624


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """What a batch of B pictures begins with."""

    latents: Tensor  # x_T, (B, 4, h, w)
    noise: Tensor  # (B, 4, h, w), of unit variance
    timesteps: Tensor  # (calls,), falling: those that are run
    original: Tensor | None = None  # the start picture's own latents, (1, 4, h, w)


class StartsFrom(Protocol):
    """A part of a job: it makes the start of each batch."""

    def begin(self, pipe: Pipeline, request: Txt2ImgRequest, generators: Sequence[Generator]) -> Start:
        """Return the start of a batch, one picture a generator; `request` says steps, strength and size."""


class FromNoise:
    """Begin with noise alone."""

    def begin(self, pipe: Pipeline, request: Txt2ImgRequest, generators: Sequence[Generator]) -> Start:
        assert request.width is not None
        assert request.height is not None
        scheduler = pipe.scheduler
        set_steps(scheduler, steps_of(request), pipe.device)
        if pipe.is_xl or is_twice(scheduler.timesteps[:2]):  # else the second is found
            begin_at(pipe, 0)
        check_first_signal(scheduler, scheduler.timesteps[0])
        side = pipe.vae_scale_factor
        shape = (
            len(generators),
            pipe.vae.config.latent_channels,
            request.height // side,
            request.width // side,
        )
        noise = draw_noise(shape, generators, pipe, pipe.text_encoder.dtype)
        latents = noise * scheduler.init_noise_sigma
        return Start(latents=latents, noise=noise, timesteps=scheduler.timesteps)


class FromPicture:
    """Begin with a picture's latents under as much noise as the strength says.

    The noise is what the generators give first, as in txt2img; with all steps run it is all there is, so the
    picture does not count. Encoding is part of the first batch, so that a full memory is met there.
    """

    def __init__(self, image: Image.Image, placement: Placement) -> None:
        self.image = image  # RGB
        self.placement = placement  # where it lies in the frame the model works in
        self.init_latents: Tensor | None = None  # (1, 4, h, w), the picture encoded
        self.start_image: Image.Image | None = None  # and decoded again
        self.noised: Tensor | None = None  # the first picture's start as the U-Net sees it, (1, 4, h, w)

    def begin(self, pipe: Pipeline, request: Txt2ImgRequest, generators: Sequence[Generator]) -> Start:
        assert isinstance(request, Img2ImgRequest)
        if self.init_latents is None:
            self.encode(pipe)
        assert self.init_latents is not None
        content = self.content(self.init_latents, generators)
        start = noised_start(pipe, request, content, generators)
        if self.noised is None:
            self.noised = pipe.scheduler.scale_model_input(start.latents, start.timesteps[0])[:1]
        return Start(**vars(start) | {"original": self.init_latents})

    def encode(self, pipe: Pipeline) -> None:
        """Work out what all batches share."""
        placed = self.placement.place(self.image)
        init_latents = encode_image(pipe, placed)
        self.start_image = round_trip(pipe, placed)
        self.init_latents = init_latents

    def content(self, init_latents: Tensor, generators: Sequence[Generator]) -> Tensor:
        """Return the latents to be noised, (1 or B, 4, h, w)."""
        return init_latents


def noised_start(
    pipe: Pipeline, request: Img2ImgRequest, x0: Tensor, generators: Sequence[Generator]
) -> Start:
    """Noise x0, (1 or B, 4, h, w), as far as the request's strength says (SDEdit, Meng et al. 2022)."""
    scheduler, steps_run = pipe.scheduler, request.steps_run
    assert steps_run is not None
    set_steps(scheduler, steps_of(request), pipe.device)
    skipped = (request.num_inference_steps or 0) - steps_run
    timesteps = scheduler.timesteps[skipped * scheduler.order :]
    begin_at(pipe, skipped * scheduler.order)
    check_first_signal(scheduler, timesteps[0])
    shape = (len(generators), *x0.shape[1:])
    noise = draw_noise(shape, generators, pipe, x0.dtype)
    if not skipped:
        latents = noise * scheduler.init_noise_sigma
    else:
        x0 = x0.expand(len(generators), -1, -1, -1)
        latents = scheduler.add_noise(x0, noise, timesteps[:1].repeat(len(generators)))
    return Start(latents=latents, noise=noise, timesteps=timesteps)


def is_twice(first: Tensor) -> bool:
    """Tell whether a schedule's first two timesteps are the same one."""
    return len(first) == 2 and bool(first[0] == first[1])


def draw_noise(
    shape: tuple[int, ...], generators: Sequence[Generator], pipe: Pipeline, dtype: torch.dtype
) -> Tensor:
    """Draw noise, (B, 4, h, w), on the pipeline's device, one picture a generator.

    Drawn in float32 and then rounded: in float16 torch 2.11 has another noise for the same seed.
    """
    noise: Tensor = randn_tensor(shape, list(generators), device=pipe.device, dtype=torch.float32)
    return noise.to(dtype)


def begin_at(pipe: Pipeline, index: int) -> None:
    """Say which of the scheduler's timesteps is the first that is run, where the scheduler asks."""
    if hasattr(pipe.scheduler, "set_begin_index"):
        pipe.scheduler.set_begin_index(index)


def steps_of(request: Txt2ImgRequest) -> int:
    """Return the steps that the schedule is made of."""
    assert request.num_inference_steps is not None
    return request.num_inference_steps


def steps_run(request: Txt2ImgRequest) -> int:
    """Return the steps that a resolved request runs."""
    run = request.steps_run if isinstance(request, Img2ImgRequest) else None
    return steps_of(request) if run is None else run


def make_generators(requests: Sequence[Txt2ImgRequest]) -> list[Generator]:
    """Return each picture's own source of noise, on the CPU: a seed means the same noise on every device."""
    return [make_generator(request.seed or 0) for request in requests]


def make_generator(seed: int, *stream: int) -> Generator:
    """Return a source of noise on the CPU; another for every seed of 0..2**63-1 and every stream.

    torch's own reads the low 32 bits of a seed, so that 2**32 would be 0 again. Beyond, and for a stream,
    its Mersenne Twister begins with a state that numpy mixes of all the bits (O'Neill 2015).
    """
    generator = torch.Generator("cpu").manual_seed(seed % 2**32)
    if seed < 2**32 and not stream:
        return generator
    mixed = np.random.SeedSequence(seed, spawn_key=stream).generate_state(_WORDS, np.uint32)
    state = generator.get_state()
    state[:8] = torch.tensor([seed]).view(torch.uint8)  # what initial_seed() tells
    state[_STATE_AT : _STATE_AT + 8 * _WORDS] = torch.from_numpy(mixed.astype(np.int64)).view(torch.uint8)
    generator.set_state(state)
    return generator
