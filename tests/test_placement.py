"""Where a picture lies in the model's frame: there and back, and which latents a mask touches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sd_app.pictures.placement import CELL, place_whole, round_size, round_up_size

sides = st.integers(1, 90)
frame_sides = st.integers(8, 20).map(lambda n: n * CELL)


def noise_picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


@given(width=st.integers(57, 200), height=st.integers(57, 200))
@settings(max_examples=50, deadline=None)
def test_in_its_own_frame_every_pixel_comes_back(width, height):
    image = noise_picture(width, height)
    placement = place_whole(image.size, *round_up_size(width, height, 2**20), "pad")
    frame = placement.place(image)
    assert frame.size == (placement.width, placement.height)
    assert placement.take_back(frame).tobytes() == image.tobytes()


@given(width=sides, height=sides, frame_width=frame_sides, frame_height=frame_sides, data=st.data())
@settings(max_examples=100, deadline=None)
def test_whatever_goes_in_fills_the_frame_and_comes_back_at_its_size(
    width, height, frame_width, frame_height, data
):
    mode = data.draw(st.sampled_from(["crop", "pad", "stretch"]))
    image = Image.new("RGB", (width, height), (10, 200, 30))
    placement = place_whole(image.size, frame_width, frame_height, mode)
    frame = placement.place(image)
    assert frame.size == (frame_width, frame_height)
    assert frame.getcolors() == [(frame_width * frame_height, (10, 200, 30))]
    left, top, right, bottom = placement.box
    assert placement.take_back(frame).size == (right - left, bottom - top)
    if mode != "crop":
        assert placement.box == (0, 0, width, height)


@given(width=sides, height=sides, frame_width=frame_sides, frame_height=frame_sides, data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_single_painted_pixel_reaches_every_latent_it_touches(
    width, height, frame_width, frame_height, data
):
    mode = data.draw(st.sampled_from(["pad", "stretch"]))
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    mask = np.zeros((height, width), np.uint8)
    mask[y, x] = 200
    placement = place_whole((width, height), frame_width, frame_height, mode)
    pooled = placement.pool(mask)
    assert pooled.shape == (frame_height // CELL, frame_width // CELL)
    assert set(np.unique(pooled)) <= {0, 200}
    # The pixel's own corners in the frame, a hair inside.
    for dx, dy in [(0.001, 0.001), (0.999, 0.999)]:
        column = (placement.left + (x + dx) * placement.inner_width / width) // CELL
        row = (placement.top + (y + dy) * placement.inner_height / height) // CELL
        assert pooled[int(row), int(column)] == 200


def test_a_mask_off_the_grid_is_pooled_cell_by_cell():
    mask = np.zeros((16, 24), np.uint8)
    mask[7:9, 8:16] = 255
    mask[0, 23] = 90
    pooled = place_whole((24, 16), 24, 16, "stretch").pool(mask)
    assert pooled.tolist() == [[0, 255, 90], [0, 255, 0]]


def test_crop_shows_the_middle_and_pad_continues_the_edge():
    image = Image.new("RGB", (96, 64), "red")
    image.paste("blue", (16, 0, 80, 64))
    cropped = place_whole(image.size, 64, 64, "crop").place(image)
    assert cropped.getcolors() == [(64 * 64, (0, 0, 255))]
    padded = place_whole(image.size, 96, 96, "pad").place(image)
    assert padded.getpixel((0, 0)) == padded.getpixel((0, 95)) == (255, 0, 0)
    assert padded.getpixel((48, 0)) == (0, 0, 255)


@pytest.mark.parametrize(
    ("width", "height", "nearest", "up"),
    [
        (64, 64, (64, 64), (64, 64)),
        (517, 389, (520, 392), (520, 392)),
        (513, 385, (512, 384), (520, 392)),
        (10, 9000, (64, 8192), (64, 8192)),
    ],
)
def test_sizes_go_to_the_grid_within_the_limits(width, height, nearest, up):
    assert round_size(width, height, 2**22) == nearest
    assert round_up_size(width, height, 2**22) == up


@given(width=st.integers(64, 3000), height=st.integers(64, 3000))
@settings(max_examples=100)
def test_sizes_stay_within_the_owners_limit(width, height):
    for rounded in (round_size, round_up_size):
        frame = rounded(width, height, 512 * 512)
        assert frame[0] % CELL == frame[1] % CELL == 0
        assert frame[0] * frame[1] <= 512 * 512
