"""The latents: what a cell does is what the decoder makes of it; a poke is the real run gone on with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sd_app import Studio
from sd_app.generation.vae import decode_latents
from sd_app.inside.latent_panels import make_latents, make_poke
from sd_app.inside.latents import (
    CLEAR,
    box_of,
    channel_ranges,
    move_cell,
    reduction_of,
    shown_latents,
    with_boxes,
)
from sd_app.inside.look import Look
from sd_app.inside.poke import busiest_cell, early_to_late, poke, spread_of
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_observers import open_studio


@pytest.fixture(scope="module")
def shared(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return open_studio(random_models, "model-a", tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def look(shared: Studio) -> Look:
    return look_at(shared, ALONE)


@pytest.fixture(scope="module")
def euler(shared: Studio) -> Look:
    """A sampler whose x_t grows with the noise."""
    return look_at(shared, replace(ALONE, scheduler="Euler"))


# -- what they are


def test_the_reduction_is_written_out_for_this_picture(look, shared):
    assert reduction_of(look.recording).sentence == (
        "The picture is 64 × 64 × 3 = 12,288 numbers, its latents 4 × 8 × 8 = 256: 48 times fewer."
    )
    wide = look_at(shared, replace(ALONE, width=96, height=64, num_inference_steps=1))
    assert (
        "96 × 64 × 3 = 18,432 numbers, its latents 4 × 8 × 12 = 384" in reduction_of(wide.recording).sentence
    )


def test_the_ranges_are_those_of_the_numbers(look):
    final = look.recording.final
    for each in channel_ranges(final):
        channel = final[each.channel].numpy()
        assert (each.least, each.largest) == (channel.min(), channel.max())
        assert each.mean == pytest.approx(channel.mean(), abs=1e-6)
        assert each.spread == pytest.approx(channel.std(), rel=1e-5)


def test_a_frames_latents_are_the_films(euler):
    recording = euler.recording
    assert torch.equal(shown_latents(recording, recording.num_calls), recording.final)
    assert torch.equal(shown_latents(recording, 1, "noisy"), recording.unscaled(1))
    expected = recording.x0(1, "guided")
    assert expected is not None
    assert torch.equal(shown_latents(recording, 1, "guided"), expected)
    with pytest.raises(ValueError, match="frame must be 0 to 4, got 5"):
        shown_latents(recording, 5)


# -- a cell moved


def test_a_cell_set_to_what_it_is_changes_not_one_byte(look):
    final = look.recording.final
    [moved] = move_cell(look, final, row=3, column=5, values=[(2, float(final[2, 3, 5]))])
    assert not moved.difference.any()
    assert moved.changed_box is None
    assert moved.clear_box is None
    assert moved.own_share == 0
    assert moved.sentence.endswith(": not one pixel changes.")
    apart = np.asarray(moved.picture_before, int) - np.asarray(look.recording.decoded, int)
    assert np.abs(apart).max() <= 1  # decoded with another one: rounded


def test_a_moved_cell_is_what_the_decoder_makes_of_it_and_its_boxes_are_measured(look):
    final = look.recording.final
    moved = move_cell(look, final, row=3, column=5, values=[(2, 40.0), (0, -7.0)])
    with look.pipe() as pipe:
        for each, (channel, value) in zip(moved, [(2, 40.0), (0, -7.0)], strict=True):
            changed = final.clone()
            changed[channel, 3, 5] = value
            before, after = decode_latents(pipe, torch.stack([final, changed]))
            assert each.picture_after.tobytes() == after.tobytes()
            apart = np.abs(np.asarray(after, int) - np.asarray(before, int)).max(axis=2)
            assert np.array_equal(each.difference, apart)
            for box, mask in ((each.changed_box, apart > 0), (each.clear_box, apart >= CLEAR)):
                if box is None:
                    assert not mask.any()
                    continue
                left, top, right, bottom = box
                assert mask[top:bottom, left:right].sum() == mask.sum()
                assert all(
                    edge.any() for edge in (mask[top], mask[bottom - 1], mask[:, left], mask[:, right - 1])
                )
            assert each.cell == (40, 24, 48, 32)
            assert each.own_share == pytest.approx(apart[24:32, 40:48].sum() / apart.sum())
            assert with_boxes(each, (128, 128)).size == (128, 128)
    assert moved[0].changed_box
    assert moved[0].before == float(final[2, 3, 5])


def test_a_place_that_there_is_none_is_refused(look):
    final = look.recording.final
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"row": 8, "column": 0, "values": [(0, 1.0)]}, "row must be 0 to 7, got 8"),
        ({"row": 0, "column": -1, "values": [(0, 1.0)]}, "column must be 0 to 7, got -1"),
        ({"row": 0, "column": 0, "values": [(4, 1.0)]}, "channel must be 0 to 3, got 4"),
        ({"row": 0, "column": 0, "values": [(0, float("nan"))]}, "value must be a number"),
    )
    for place, message in refused:
        with pytest.raises(ValueError, match=message):
            move_cell(look, final, **place)
    with pytest.raises(ValueError, match="call must be 0 to 3, got 4"):
        poke(look, call=4, row=0, column=0, amount=1.0)
    with pytest.raises(ValueError, match="amount must be a number"):
        poke(look, call=0, row=0, column=0, amount=float("inf"))


def test_a_box_goes_around_all_that_changed():
    changed = np.zeros((6, 9), bool)
    assert box_of(changed) is None
    changed[2, 3] = changed[4, 7] = True
    assert box_of(changed) == (3, 2, 8, 5)


# -- a cell poked on the way


def test_a_poke_of_nothing_is_the_recording_to_the_bit(look, euler):
    for one in (look, euler):
        poked = poke(one, call=1, row=2, column=3, amount=0.0)
        assert torch.equal(poked.recording.latents, one.recording.latents)
        assert not poked.distances.any()
        assert not poked.difference.any()
        assert poked.left == 0
        assert poked.sentence == (
            "Poked at step 2 by 0 spreads: nothing changes, the picture is the same to the byte."
        )


def test_a_poke_is_as_large_as_asked_in_spreads_whatever_the_sampler(look, euler):
    for one in (look, euler):
        recording = one.recording
        poked = poke(one, call=1, row=2, column=3, amount=3.0, channels=(0, 2))
        apart = poked.recording.latents[1] - recording.latents[1]
        assert apart[0, 2, 3] == pytest.approx(3.0 * spread_of(recording, 1), rel=1e-4)
        assert int((apart.abs() > 1e-3).sum()) == 2
        assert poked.distances[1] == pytest.approx(3 * 2**0.5, rel=1e-4)
        assert poked.at_the_cell[1] == pytest.approx(poked.distances[1])
        assert poked.touched[:2] == [0, 1]
        assert not poked.distances[0]
        assert poked.unnoticed[1] == pytest.approx(poked.distances[1])


def test_the_distances_are_those_of_the_two_runs(euler):
    recording = euler.recording
    poked = poke(euler, call=2, row=0, column=7, amount=2.0)
    for call in (2, 3, 4):
        norm = (1 + float(recording.sigmas[call]) ** 2) ** 0.5 if call < 4 else 1.0
        apart = (poked.recording.latents[call] - recording.latents[call]) / norm
        assert poked.distances[call] == pytest.approx(float(apart.norm()), rel=1e-4)
        near = apart[:, 0:2, 6:8]
        assert poked.at_the_cell[call] == pytest.approx(float(near.norm()), rel=1e-4)
    signal = 1 / (1 + float(recording.sigmas[2]) ** 2) ** 0.5
    assert poked.unnoticed[-1] == pytest.approx(poked.distances[2] / signal, rel=1e-4)
    assert poked.left == pytest.approx(poked.distances[-1] / poked.distances[2])


def test_a_run_whose_u_net_takes_no_notice_goes_as_is_said(euler, monkeypatch):
    """The recorded answers to both runs: what remains is the sampler alone."""
    from sd_app.inside import replay

    inner = replay.answers
    monkeypatch.setattr(replay, "answers", lambda recording, calls: inner(recording, recording.num_calls))
    poked = poke(euler, call=1, row=2, column=3, amount=1.0)
    assert np.allclose(poked.distances[1:], poked.unnoticed[1:], rtol=1e-3)


def test_what_became_of_it_is_said_by_what_is_left_and_where(look):
    poked = poke(look, call=1, row=2, column=3, amount=1.0)

    def verdict(at_poke: float, own: float, far: float) -> str:
        lengths = np.zeros_like(poked.lengths)
        lengths[1, 2, 3] = at_poke
        lengths[-1, 2, 3], lengths[-1, 7, 7] = own, far
        told = replace(poked)
        vars(told)["lengths"] = lengths
        return told.verdict

    assert verdict(2.0, 0.5, 0.5) == "it heals"
    assert verdict(2.0, 2.0, 0.5) == "it stays in its place"
    assert verdict(2.0, 0.5, 2.0) == "it spreads"


def test_steps_to_poke_at_are_spread_over_the_run(look, shared):
    assert early_to_late(look.recording) == [0, 1, 2, 3]
    assert early_to_late(look_at(shared, replace(ALONE, num_inference_steps=1)).recording) == [0]
    heun = look_at(shared, replace(ALONE, scheduler="Heun", num_inference_steps=5))
    assert early_to_late(heun.recording) == [0, 2, 4, 6, 8]
    latents = torch.zeros(4, 8, 8)
    latents[:, 3, 6] = 5.0
    latents[:, 0, 0] = 9.0  # at the border half of what it does is cut off
    assert busiest_cell(latents) == (3, 6)


# -- the panels


def test_the_panels_numbers_are_the_recordings(look):
    recording = look.recording
    made = make_latents(look)
    assert np.array_equal(made.arrays["finished"], recording.final.numpy())
    expected = recording.x0(0)
    assert expected is not None
    assert np.array_equal(made.arrays["x0"][0], expected.float().numpy())
    assert np.array_equal(made.arrays["x0"][-1], recording.final.numpy())
    head, *rows = made.tables["ranges"]
    assert len(rows) == 4 * (2 * recording.num_calls + 1)
    first = dict(zip(head, rows[0], strict=True))
    assert first["largest"] == float(recording.latents[0, 0].max())
    assert made.said[0] == reduction_of(recording).sentence
    poked = make_poke(look)
    assert poked.arrays["distances"].shape == (4, 5)
    assert [row[0] for row in poked.tables["poke"][1:]].count(4) == 2
    assert all(isinstance(image, Image.Image) for image in poked.pictures.values())
