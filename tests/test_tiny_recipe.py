"""The recipe's small parts by themselves, against loops of a few lines: training as a whole is slow."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sd_app.tiny.data import PictureSet
from sd_app.tiny.evaluate import psnr, squared_errors
from sd_app.tiny.export import fit_latent_rgb
from sd_app.tiny.judge import Judge, judge_stage
from sd_app.tiny.optim import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(6, 4), (3, 5), (8, 2, 3, 3)])
def test_a_step_of_muon_is_that_of_its_paper(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator)
    gradients = [torch.randn(shape, generator=generator) for _ in range(3)]
    parameter = torch.nn.Parameter(weight.clone())
    optimizer = Muon([parameter], lr=0.1, momentum=0.9, weight_decay=0.2)
    momentum = torch.zeros(shape)
    for gradient in gradients:
        parameter.grad = gradient
        optimizer.step()
        momentum = 0.9 * momentum + 0.1 * gradient
        ahead = (0.1 * gradient + 0.9 * momentum).reshape(shape[0], -1)  # Nesterov's
        update = orthogonalize(ahead[None])[0].reshape(shape)
        rows, columns = ahead.shape
        weight = weight * (1 - 0.1 * 0.2) - 0.1 * max(1, rows / columns) ** 0.5 * update
        assert torch.allclose(parameter, weight, atol=2e-3)  # the update is made in bfloat16


def test_the_linear_preview_is_the_best_map_from_latents_to_reduced_pixels() -> None:
    """Pictures whose cells are a known map of their latents give that map."""
    random = np.random.default_rng(0)
    latents = torch.from_numpy(random.uniform(-0.5, 0.5, (3, 4, 2, 4)).astype(np.float32))
    factors = torch.tensor([[0.1, 0.2, -0.1], [0.3, -0.2, 0.05], [-0.1, 0.1, 0.2], [0.05, 0.15, -0.25]])
    colors = torch.einsum("nchw,ck->nhwk", latents, factors) + torch.tensor([0.5, 0.4, 0.6])
    pixels = (colors * 255).round().byte().repeat_interleave(8, 1).repeat_interleave(8, 2).numpy()
    encoded = SimpleNamespace(latent_dist=SimpleNamespace(mean=latents / 0.5))
    vae: Any = SimpleNamespace(encode=lambda images: encoded, config=SimpleNamespace(scaling_factor=0.5))
    found, bias = fit_latent_rgb(vae, pixels)
    assert np.allclose(found, factors, atol=0.01)
    assert np.allclose(bias, [0.5, 0.4, 0.6], atol=0.01)


def test_errors_are_of_each_picture_and_psnr_of_their_mean() -> None:
    images = torch.zeros(2, 3, 4, 5)
    decoded = images.clone()
    decoded[1, 2] = 0.6
    assert squared_errors(decoded, images) == [0.0, pytest.approx(0.12)]
    assert psnr([0.0, 0.08]) == 20.0  # 10 log10(2^2 / 0.04)
    assert psnr([0.013]) == 24.88


def test_the_judge_begins_with_the_weights_of_its_seed_and_its_loss_falls_on_its_batch() -> None:
    random = np.random.default_rng(0)
    pictures = PictureSet(
        pixels=random.integers(0, 256, (8, 128, 128, 3), np.uint8),
        attributes=np.zeros((8, 6), np.int8),
        tokens=np.zeros((8, 4, 77), np.uint16),
        stated=np.zeros((8, 4, 6), np.int8),
    )
    stage = judge_stage(pictures, steps=1, batch=6)
    torch.manual_seed(0)
    for (name, ours), theirs in zip(
        stage.modules["judge"].state_dict().items(), Judge().state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    total, figures = stage.loss(np.random.default_rng(1), 0.0)
    assert figures["cross_entropy"] == pytest.approx(total.item())
    total.backward()
    with torch.no_grad():
        for parameter in stage.modules["judge"].parameters():
            if parameter.grad is not None:
                parameter.sub_(0.02 * parameter.grad / parameter.grad.norm().clamp(min=1e-3))
    assert stage.loss(np.random.default_rng(1), 0.0)[0] < total
