"""Masks and joining: what is kept is kept to the last bit, whatever the mask, the size and the options."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from sd_app.pictures.drift import measure_seam
from sd_app.pictures.masks import (
    composite,
    extend_image,
    extend_mask,
    feather_alpha,
    fill_painted,
    masked_box,
    match_colors,
    read_mask,
)
from sd_app.requests import BLENDS

QUICK = settings(max_examples=80, deadline=None)


@st.composite
def jobs(draw) -> tuple[Image.Image, Image.Image, NDArray[np.bool_]]:
    """Draw an original, a raw picture and which pixels are painted; any mask, 1..40 pixels wide."""
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    first, second = (generator.integers(0, 256, (height, width, 3), np.uint8) for _ in range(2))
    if draw(st.booleans()):
        painted = draw(arrays(bool, (height, width)))
    else:
        painted = np.zeros((height, width), bool)
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        painted[top : draw(st.integers(top + 1, height)), left : draw(st.integers(left + 1, width))] = True
    return Image.fromarray(first), Image.fromarray(second), painted


@given(jobs())
@QUICK
def test_a_hard_composite_is_the_formula(job):
    original, raw, painted = job
    m = painted[..., None].astype(np.uint8)
    expected = np.asarray(original) * (1 - m) + np.asarray(raw) * m
    assert np.array_equal(np.asarray(composite(original, raw, painted)), expected)


@given(jobs(), st.integers(0, 20), st.booleans(), st.sampled_from(BLENDS))
@settings(max_examples=150, deadline=None)
def test_no_option_touches_a_kept_pixel(job, feather, color_match, blend):
    original, raw, painted = job
    joined = composite(original, raw, painted, feather=feather, color_match=color_match, blend=blend)
    assert joined.size == original.size
    assert joined.mode == "RGB"
    kept = ~painted
    assert np.array_equal(np.asarray(joined)[kept], np.asarray(original)[kept])


@given(jobs(), st.sampled_from(BLENDS))
@QUICK
def test_joining_a_picture_with_itself_changes_next_to_nothing(job, blend):
    original, _, painted = job
    joined = composite(original, original, painted, feather=3, color_match=False, blend=blend)
    assert np.abs(np.asarray(joined, int) - np.asarray(original, int)).max() <= 1


@given(jobs(), st.integers(0, 30))
@QUICK
def test_a_feather_rises_inwards_only(job, feather):
    painted = job[2]
    alpha = feather_alpha(painted, feather)
    assert (alpha[~painted] == 0).all()
    assert (alpha[painted] > 0).all()
    assert (alpha <= feather_alpha(painted, max(0, feather - 1))).all()
    if feather == 0 or painted.all():
        assert (alpha[painted] == 255).all()


def test_a_feather_of_four_reaches_its_full_value_on_the_fifth_pixel():
    painted = np.zeros((1, 20), bool)
    painted[:, 5:] = True
    assert feather_alpha(painted, 4)[0, 4:11].tolist() == [0, 51, 102, 153, 204, 255, 255]


def test_a_hard_mask_counts_grey_from_the_middle_and_a_soft_one_keeps_it():
    mask = Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8))
    assert read_mask(mask).tolist() == [[0, 0, 255, 255]]
    assert read_mask(mask, invert=True).tolist() == [[255, 255, 0, 0]]
    assert read_mask(mask, soft=True).tolist() == [[0, 127, 128, 255]]
    assert read_mask(mask, soft=True, invert=True).tolist() == [[255, 128, 127, 0]]


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@QUICK
def test_inverting_twice_and_every_mode_give_the_same_mask(painted):
    mask = Image.fromarray(painted * np.uint8(255))
    inverted = Image.fromarray(read_mask(mask, invert=True))
    for picture in (mask, mask.convert("1"), mask.convert("RGB")):
        assert np.array_equal(read_mask(picture) > 0, painted)
    assert np.array_equal(read_mask(inverted, invert=True) > 0, painted)


@given(jobs(), st.tuples(*[st.integers(0, 12)] * 4))
@QUICK
def test_an_extended_picture_keeps_its_pixels_and_paints_the_rest(job, margins):
    image, _, painted = job
    left, top, right, bottom = margins
    extended = extend_image(image, margins)
    assert extended.size == (image.width + left + right, image.height + top + bottom)
    box = (left, top, left + image.width, top + image.height)
    assert extended.crop(box).tobytes() == image.tobytes()
    mask = extend_mask(painted * np.uint8(255), margins)
    assert np.array_equal(mask[top : top + image.height, left : left + image.width] > 0, painted)
    assert (mask == 0).sum() == (~painted).sum()


@given(jobs())
@QUICK
def test_filling_changes_the_painted_part_only_and_to_colours_of_the_rest(job):
    image, _, painted = job
    filled = np.asarray(fill_painted(image, painted), int)
    pixels = np.asarray(image, int)
    assert np.array_equal(filled[~painted], pixels[~painted])
    if painted.any() and not painted.all():
        low, high = pixels[~painted].min(axis=0), pixels[~painted].max(axis=0)
        assert (filled[painted] >= low - 1).all()
        assert (filled[painted] <= high + 1).all()


@given(jobs(), st.integers(0, 20), st.sampled_from([(64, 64), (128, 64), (64, 192)]))
@QUICK
def test_the_box_holds_every_painted_pixel_and_its_padding(job, padding, frame):
    painted = job[2]
    if not painted.any():
        return
    left, top, right, bottom = masked_box(painted, padding, *frame)
    height, width = painted.shape
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    inside = np.zeros_like(painted)
    inside[top:bottom, left:right] = True
    y, x = np.nonzero(painted)
    for dy in (-padding, padding):
        for dx in (-padding, padding):
            assert inside[(y + dy).clip(0, height - 1), (x + dx).clip(0, width - 1)].all()


def test_the_box_has_the_frames_shape_where_there_is_room():
    painted = np.zeros((200, 300), bool)
    painted[90:110, 140:160] = True
    assert masked_box(painted, 10, 64, 64) == (130, 80, 170, 120)
    assert masked_box(painted, 10, 128, 64) == (110, 80, 190, 120)
    painted[:, :] = True
    assert masked_box(painted, 10, 64, 64) == (0, 0, 300, 200)


@pytest.fixture(scope="module")
def tinted() -> tuple[Image.Image, Image.Image, NDArray[np.bool_]]:
    """A smooth picture, the same 24 brighter, and a disc."""
    y, x = np.mgrid[0:96, 0:128]
    smooth = np.stack([x, y, 100 + 40 * np.sin(x / 20)], axis=2).astype(np.uint8)
    return Image.fromarray(smooth), Image.fromarray(smooth + 24), (x - 60) ** 2 + (y - 50) ** 2 < 30**2


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ({"feather": 8}, 0.25),
        ({"color_match": True}, 0.1),
        ({"blend": "poisson"}, 0.1),
        ({"blend": "pyramid"}, 0.4),
    ],
)
def test_each_option_lowers_the_seam_of_a_tinted_disc(tinted, options, share):
    original, raw, painted = tinted
    natural = measure_seam(original, painted)
    hard = measure_seam(composite(original, raw, painted), painted) - natural
    joined = measure_seam(composite(original, raw, painted, **options), painted) - natural
    assert hard > 15
    assert joined < share * hard


@given(jobs())
@QUICK
def test_matching_colours_never_makes_the_seam_worse(job):
    original, raw, painted = job
    hard, matched = (composite(original, raw, painted, color_match=match) for match in (False, True))
    assert measure_seam(matched, painted) <= measure_seam(hard, painted) + 0.5  # rounded to whole values


def test_matched_colours_bring_a_tinted_disc_back(tinted):
    original, raw, painted = tinted
    matched = np.asarray(match_colors(original, raw, painted), int)
    assert np.abs(matched - np.asarray(original, int))[painted].mean() < 2
