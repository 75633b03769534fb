import numpy as np
import torch
from PIL import Image

from sd_app.probes.previews import latents_to_images, preview_sheet

RED_IS_CHANNEL_0 = (((0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5), (0, 0, 0)), (0.5, 0.5, 0.5))


def test_latents_become_colours_by_the_linear_map():
    latents = torch.zeros(2, 4, 3, 5)
    latents[0, 0] = 1.0
    latents[1, 2] = -9.0
    red, no_blue = latents_to_images(latents, RED_IS_CHANNEL_0)
    assert red.size == (5, 3)
    assert np.asarray(red)[0, 0].tolist() == [255, 128, 128]
    assert np.asarray(no_blue)[0, 0].tolist() == [128, 128, 0]


def test_broken_latents_are_shown_as_grey():
    image = latents_to_images(torch.full((1, 4, 2, 2), float("nan")), RED_IS_CHANNEL_0)[0]
    assert np.asarray(image)[0, 0].tolist() == [128, 128, 128]


def test_a_preview_keeps_the_pictures_shape_and_shows_the_whole_batch():
    def sheet(latents: torch.Tensor) -> Image.Image:
        return preview_sheet(latents_to_images(latents, RED_IS_CHANNEL_0))

    assert sheet(torch.zeros(1, 4, 8, 16)).size == (256, 128)
    assert sheet(torch.zeros(3, 4, 16, 8)).size == (256, 512)
