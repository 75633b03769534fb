"""The drift report against values worked out by hand."""

import numpy as np
import pytest
from PIL import Image

from sd_app.pictures.drift import draw_heat, heat_scale, measure_drift, measure_seam, report_drift
from sd_app.requests import Drift


def picture(values: list[list[int]]) -> Image.Image:
    return Image.fromarray(np.repeat(np.array(values, np.uint8)[..., None], 3, axis=2))


ORIGINAL = picture([[10, 10, 10, 10], [10, 10, 10, 10]])
CHANGED = picture([[10, 14, 90, 90], [10, 8, 90, 90]])
PAINTED = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], bool)


def test_drift_counts_kept_pixels_only():
    assert measure_drift(ORIGINAL, CHANGED, PAINTED) == Drift(mean=1.5, maximum=4, changed_share=0.5)
    assert measure_drift(ORIGINAL, ORIGINAL, PAINTED) == Drift(mean=0, maximum=0, changed_share=0)
    assert measure_drift(ORIGINAL, CHANGED, np.ones((2, 4), bool)).changed_share == 0


@pytest.mark.parametrize("channel", range(3))
@pytest.mark.parametrize("step", [1, -1, 2, -7])
def test_drift_takes_the_channel_that_moved_most_and_counts_a_step_of_one(channel: int, step: int):
    """Of two kept pixels one moved, in one channel by `step`, in the others by less."""
    original = np.full((1, 3, 3), 10, np.uint8)
    changed = original.copy()
    changed[0, 0] = 10 + np.sign(step) * (abs(step) - 1)
    changed[0, 0, channel] = 10 + step
    changed[0, 2] = 99  # painted
    painted = np.array([[False, False, True]])
    drift = measure_drift(Image.fromarray(original), Image.fromarray(changed), painted)
    assert drift == Drift(mean=abs(step) / 2, maximum=abs(step), changed_share=0.5)


def test_a_seam_is_the_mean_step_across_the_edge():
    assert measure_seam(CHANGED, PAINTED) == (76 + 82) / 2
    assert measure_seam(CHANGED, ~PAINTED) == 79
    assert measure_seam(ORIGINAL, PAINTED) == 0
    assert measure_seam(CHANGED, np.zeros((2, 4), bool)) == 0
    assert measure_seam(picture([[0], [9]]), np.array([[True], [False]])) == 9


def test_a_heat_map_is_black_where_nothing_changed_and_grey_where_painted():
    heat = np.asarray(draw_heat(ORIGINAL, CHANGED, PAINTED)).sum(axis=2)
    assert (heat[PAINTED] == 3 * 128).all()
    assert heat[0, 0] < 10
    assert heat[0, 1] > heat[1, 1] > heat[0, 0]
    hottest = draw_heat(ORIGINAL, picture([[42] * 4, [255] * 4]), np.zeros((2, 4), bool))
    assert hottest.getpixel((0, 0)) == hottest.getpixel((0, 1))


def test_the_report_puts_each_figure_in_its_place():
    report = report_drift(
        ORIGINAL,
        CHANGED,
        ORIGINAL,
        plain_composite=picture([[10, 10, 90, 90]] * 2),
        roundtrip=picture([[11, 11, 11, 11]] * 2),
        painted=PAINTED,
    )
    assert (report.raw.mean, report.composite.mean, report.roundtrip.mean) == (1.5, 0, 1)
    assert (report.seam_input, report.seam_before, report.seam_after) == (0, 80, 0)
    assert report.vae_share == 1 / 1.5
    assert report.raw_heat.tobytes() != report.composite_heat.tobytes()


def test_a_heat_maps_scale_names_its_colours_and_1_is_not_taken_for_0():
    changes = [0, 1, 2, 4, 8, 16, 32, 255]
    black = picture([[0] * len(changes)])
    painted = np.zeros((1, len(changes)), bool)
    heat = draw_heat(black, picture([changes]), painted)
    shown = [heat.getpixel((column, 0)) for column in range(len(changes))]
    scale = dict(heat_scale())
    assert list(scale) == ["0", "1", "2", "4", "8", "16", "32 and more", "redrawn"]
    assert shown == [*list(scale.values())[:-1], scale["32 and more"]]
    assert scale["0"] == (0, 0, 0)
    assert sum(scale["1"]) > 150  # no black on any screen
    brightness = np.array(shown[:-1]).sum(axis=1).tolist()
    assert brightness == sorted(set(brightness))
    everything = draw_heat(black, picture([changes]), ~painted)
    assert everything.getpixel((0, 0)) == scale["redrawn"]
