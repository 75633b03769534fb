"""Seeds up to 2**63 - 1: each its own noise, the small ones as ever."""

import pytest
import torch

from sd_app import Txt2ImgRequest
from sd_app.generation.starts import make_generator
from sd_app.metadata import from_infotext
from sd_app.ui.shared.files import exact


def noise(seed: int, *stream: int) -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=make_generator(seed, *stream))


@pytest.mark.parametrize("seed", [0, 7, 2**31, 2**32 - 1])
def test_small_seeds_have_torchs_own_noise(seed):
    assert torch.equal(noise(seed), torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)))


def test_every_seed_and_stream_has_a_noise_of_its_own_of_unit_variance():
    seeds = (0, 7, 2**32 - 1, 2**32, 2**32 + 7, 2**33, 2**33 + 7, 2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1)
    drawn = [noise(seed) for seed in seeds] + [noise(seed, 1) for seed in seeds]
    for index, one in enumerate(drawn):
        assert all(not torch.equal(one, other) for other in drawn[:index])
        assert 0.75 < one.std() < 1.25
        assert abs(one.mean()) < 0.3
    assert torch.equal(noise(2**63 - 1), noise(2**63 - 1))


@pytest.mark.parametrize("seed", [7, 2**32 + 7, 2**63 - 1])
def test_a_generator_tells_its_whole_seed(seed):
    assert make_generator(seed).initial_seed() == seed


def test_a_batch_at_the_end_of_the_range_is_refused_in_words():
    assert Txt2ImgRequest(prompt="a", seed=2**63 - 2, num_images=2).seed == 2**63 - 2
    with pytest.raises(ValueError, match=f"seed must be at most {2**63 - 2} for 2 pictures, got {2**63 - 1}"):
        Txt2ImgRequest(prompt="a", seed=2**63 - 1, num_images=2)


def test_a_large_seed_is_read_from_a_text_and_reaches_a_browser_whole():
    text = f"a cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: {2**63 - 1}"
    assert from_infotext(text).seed == 2**63 - 1
    assert exact(2**63 - 1) == "9223372036854775807"
    assert exact(2**53) == 2**53
