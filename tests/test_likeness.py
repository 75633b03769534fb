"""How near pictures are: beside plain loops over every window, and what is found at edges and in texture."""

import numpy as np
import pytest
from PIL import Image

from sd_app.pictures.likeness import (
    EDGE,
    FLAT,
    KINDS,
    TEXTURE,
    kinds_of_places,
    loss_by_kind,
    mean_over_cells,
    psnr,
    squared_error,
    ssim,
)

NOISE = np.random.default_rng(0).integers(0, 256, (20, 17, 3), np.uint8)


def picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels.astype(np.uint8))


def noisy(pixels: np.ndarray, spread: float) -> np.ndarray:
    moved = pixels + np.random.default_rng(1).normal(0, spread, pixels.shape)
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


def plain_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Work it out as the paper says, window by window."""
    places = np.arange(11) - 5
    line = np.exp(-(places**2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    values = []
    for channel in range(3):
        x, y = first[..., channel].astype(float), second[..., channel].astype(float)
        for top in range(x.shape[0] - 10):
            for left in range(x.shape[1] - 10):
                a, b = (one[top : top + 11, left : left + 11] for one in (x, y))
                mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
                var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
                both = (weights * (a - mean_a) * (b - mean_b)).sum()
                c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
                values.append(
                    (2 * mean_a * mean_b + c1)
                    * (2 * both + c2)
                    / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
                )
    return float(np.mean(values))


@pytest.mark.parametrize("spread", [3, 40])
def test_ssim_is_that_of_a_loop_over_every_window(spread):
    other = noisy(NOISE, spread)
    assert ssim(picture(NOISE), picture(other)) == pytest.approx(plain_ssim(NOISE, other), abs=1e-9)


def test_ssim_is_that_of_scikit_image():
    """structural_similarity of 0.26 with gaussian_weights, sigma 1.5, population covariance, range 255."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 56, 3), np.uint8)
    other = np.clip(pixels + rng.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)
    assert ssim(picture(pixels), picture(other)) == pytest.approx(0.9872752657681924, abs=1e-12)
    assert psnr(picture(pixels), picture(other)) == pytest.approx(26.779349262859647, abs=1e-9)


def test_equal_pictures_lose_nothing():
    assert ssim(picture(NOISE), picture(NOISE)) == pytest.approx(1)
    assert psnr(picture(NOISE), picture(NOISE)) == float("inf")
    assert psnr(picture(NOISE // 2), picture(NOISE // 2 + 1)) == pytest.approx(20 * np.log10(255))
    with pytest.raises(ValueError, match="11x11 pixels, and the picture has 10x30"):
        ssim(Image.new("RGB", (10, 30)), Image.new("RGB", (10, 30)))


def test_a_plain_area_an_edge_and_noise_are_told_apart():
    pixels = np.full((96, 96, 3), 100, np.uint8)
    pixels[:, 40:] = 160
    pixels[:, 60:] = np.random.default_rng(2).integers(60, 200, (96, 36, 3))
    kinds = kinds_of_places(picture(pixels))

    def share(kind: str, left: int, right: int) -> float:
        return float((kinds[8:-8, left:right] == KINDS.index(kind)).mean())

    assert share(FLAT, 4, 30) == 1
    assert share(EDGE, 38, 42) == 1
    assert share(TEXTURE, 66, 90) > 0.8
    grey = np.broadcast_to(np.linspace(0, 250, 96).astype(np.uint8)[:, None], (96, 96, 3))
    assert (kinds_of_places(picture(grey)) == KINDS.index(FLAT)).all()  # a slope is no edge


def test_the_loss_is_divided_among_the_kinds_without_rest():
    kinds = kinds_of_places(picture(NOISE))
    error = squared_error(picture(NOISE), picture(noisy(NOISE, 20)))
    found = loss_by_kind(error, kinds)
    assert sum(each.share for each in found.values()) == pytest.approx(1)
    assert sum(each.loss_share for each in found.values()) == pytest.approx(1)
    for index, kind in enumerate(KINDS):
        part = error[kinds == index]
        if part.size:
            assert found[kind].mean_error == pytest.approx(np.sqrt(part.mean()))
    one = np.zeros_like(error)
    one[kinds == KINDS.index(TEXTURE)] = 4.0
    only = loss_by_kind(one, kinds)
    assert only[TEXTURE].loss_share == 1
    assert only[TEXTURE].mean_error == 2
    assert only[TEXTURE].density == pytest.approx(1 / only[TEXTURE].share)
    assert not any(each.loss_share for each in loss_by_kind(error * 0, kinds).values())


def test_the_map_of_cells_is_their_mean():
    values = np.arange(16 * 24, dtype=float).reshape(16, 24)
    cells = mean_over_cells(values, 8)
    assert cells.shape == (2, 3)
    assert cells[1, 2] == values[8:, 16:].mean()
