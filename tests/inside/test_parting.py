"""Two runs are compared step by step, at the same noise levels; what cannot be compared is said."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sd_app import Cancelled, Img2ImgRequest, InsideRequest, Settings, Studio, Txt2ImgRequest
from sd_app.inside.look import Look
from sd_app.inside.parting import (
    ATTENTION,
    NOISY,
    PREDICTED,
    aligned,
    attention_distance,
    compare,
    pairs_of,
    parts_at,
)
from sd_app.inside.parting_files import make_parting, which_first
from sd_app.inside.parting_panel import PANEL
from sd_app.probes.recording import ReadText, Recording, Row
from sd_app.requests.text import END, PADDING, START, TEXT
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_denoise import PICTURE
from tests.test_observers import RUN, open_studio, state_of


def recorded(studio: Studio, **changes: Any) -> Recording:
    attention = changes.pop("attention", True)
    return look_at(studio, replace(ALONE, **changes), attention=attention).recording


@pytest.fixture(scope="module")
def studio(random_models, tmp_path_factory) -> Studio:
    return open_studio(random_models, "model-a", tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def cat(studio) -> Recording:
    return recorded(studio)


@pytest.fixture(scope="module")
def dog(studio) -> Recording:
    return recorded(studio, prompt="a red dog, on the beach")


# -- the numbers


def test_a_run_and_itself_part_nowhere(studio, cat):
    parting = compare(cat, recorded(studio))
    assert parting.is_same
    assert parting.final == 0
    assert parting.pairs == tuple((call, call) for call in range(4))
    assert parting.parted == {NOISY: None, PREDICTED: None, ATTENTION: None}
    assert parting.sentence == "Nothing parts: both runs are the same at every step."
    assert parting.notes == ()


def test_the_distances_are_those_of_the_recorded_numbers(cat, dog):
    """Written out by hand, from x_t, the outputs and the maps."""
    parting = compare(cat, dog)
    assert cat.attention and dog.attention  # noqa: PT018 - one thought
    for call in range(4):
        level = float(cat.sigmas[call])
        noisy = (cat.latents[call] - dog.latents[call]).double().square().mean().sqrt()
        assert np.isclose(parting.distances[NOISY][call], float(noisy))
        signal = (1 + level**2) ** -0.5
        x0s = [
            (one.latents[call].double() - level * signal * one.conditional[call].double()) / signal
            for one in (cat, dog)
        ]
        assert np.isclose(
            parting.distances[PREDICTED][call], float((x0s[0] - x0s[1]).square().mean().sqrt()), rtol=1e-4
        )
        apart = []
        for module in cat.attention.modules:
            maps = [one.attention.at(module, call) for one in (cat, dog)]
            # Every row is one word here, and each stands in the place of the other's.
            apart.append(float((maps[0] - maps[1]).abs().sum(dim=0).mean()) / 2)
        assert np.isclose(parting.distances[ATTENTION][call], np.mean(apart), rtol=1e-5)
    assert parting.distances[NOISY][0] == 0  # one noise
    assert parting.distances[PREDICTED][0] > 0
    assert parting.final is not None
    assert np.isclose(parting.final, float((cat.final - dog.final).double().square().mean().sqrt()))
    assert not parting.is_same


def test_it_parts_at_the_first_step_of_half_the_distance(cat, dog):
    values = np.array([0.0, 0.1, 0.6, 0.4, 1.0])
    assert parts_at(values, 1.0) == 2
    assert parts_at(values, 0.2) == 1
    assert parts_at(values, 3.0) is None
    assert parts_at(values, 0.0) is None
    parting = compare(cat, dog)
    assert np.isclose(parting.shares(ATTENTION).max(), 1)
    for what, index in parting.parted.items():
        shares = parting.shares(what)
        assert index is None or (shares[index] >= 0.5 and (shares[:index] < 0.5).all())
    assert parting.sentence.startswith("Attention parts at step ")
    assert parting.sentence.endswith(" (of 4 steps).")


def test_both_directions_tell_the_same(cat, dog):
    one, other = compare(cat, dog), compare(dog, cat)
    for what, values in one.distances.items():
        assert np.allclose(values, other.distances[what]), what


# -- words side by side


def text_of(*words: str) -> ReadText:
    rows = [
        Row(kind=START, text="", chunk=0, position=0),
        *(Row(kind=TEXT, text=word, chunk=0, position=1 + at) for at, word in enumerate(words)),
        Row(kind=END, text="", chunk=0, position=1 + len(words)),
        Row(kind=PADDING, text="", chunk=0, position=2 + len(words), count=75 - len(words)),
    ]
    return ReadText(text=" ".join(words), calls=(0,), rows=tuple(rows))


def test_words_stand_beside_their_like_and_a_replaced_one_beside_what_replaced_it():
    assert aligned(text_of("a", "cat"), text_of("a", "dog")) == [(k, k) for k in range(5)]
    assert aligned(text_of("a", "red", "cat"), text_of("a", "cat")) == [
        *((0, 0), (1, 1), (2, None), (3, 2), (4, 3), (5, 4))
    ]
    assert aligned(text_of("cat"), text_of("big", "cat")) == [(0, 0), (None, 1), (1, 2), (2, 3), (3, 4)]
    assert aligned(text_of("cat"), text_of("blue", "bird")) == [*((0, 0), (1, 1), (None, 2), (2, 3), (3, 4))]


@pytest.mark.parametrize("prompt", ["a cat", "a very big red cat, on the beach", "", "a (red:1.3) cat"])
def test_a_prompt_of_other_length_is_compared_word_by_word_and_stays_within_one(studio, cat, prompt):
    other = recorded(studio, prompt=prompt)
    for call in (0, 3):
        distance = attention_distance(cat, other, (call, call))
        assert 0 < distance <= 1.001
        assert np.isclose(distance, attention_distance(other, cat, (call, call)), rtol=1e-5)


# -- what can be compared


def test_runs_of_other_lengths_are_compared_where_their_noise_levels_meet(studio, cat):
    half = recorded(studio, num_inference_steps=2)
    pairs = pairs_of(cat, half)
    assert pairs == ((1, 0), (3, 1))  # "leading": 751 501 251 1 and 501 1
    parting = compare(cat, half)
    assert len(parting.distances[NOISY]) == 2
    assert parting.notes == (
        "One run calls the U-Net 4 times, the other 2 times: they are compared at the 2 noise levels that"
        " both have.",
    )
    assert [parting.pairs[index][0] for index in parting.parted.values() if index is not None]


def test_samplers_that_keep_another_scale_are_compared_at_one_scale(studio, cat):
    euler = recorded(studio, scheduler="Euler")
    assert not torch.allclose(euler.latents[0], euler.unscaled(0), atol=1e-2)
    parting = compare(recorded(studio, scheduler="Euler", prompt="a red dog, on the beach"), euler)
    assert parting.distances[NOISY][0] == 0
    assert compare(cat, euler).pairs  # its levels lie elsewhere but for some
    for call, distance in enumerate(parting.distances[NOISY]):
        apart = parting.a.latents[call].double() - parting.b.latents[call].double()
        scale = (1 + float(euler.sigmas[call]) ** 2) ** -0.5
        assert np.isclose(distance, float(apart.square().mean().sqrt()) * scale, rtol=1e-5)


def test_a_call_is_compared_with_one_other_at_most():
    def run(*levels: float) -> Any:
        return SimpleNamespace(sigmas=torch.tensor(levels), num_calls=len(levels))

    assert pairs_of(run(1.0, 0.995, 0.5), run(1.001, 0.5)) == ((0, 0), (2, 1))
    assert pairs_of(run(1.0, 0.5), run(0.995, 1.0, 0.5)) == ((0, 0), (1, 2))


def test_no_noise_level_in_common_is_said(studio, cat):
    karras = recorded(studio, scheduler="DPM++ 2M", schedule_type="Karras", num_inference_steps=3)
    far = replace(karras, sigmas=karras.sigmas * 7)
    parting = compare(cat, far)
    assert parting.pairs == ()
    assert not parting.distances
    assert "at no noise level in common, so no step can be compared." in parting.notes[0]
    assert parting.sentence.startswith("These two runs cannot be compared in numbers")


def test_other_sizes_models_noise_and_missing_attention_are_each_said(studio, random_models, tmp_path, cat):
    large = recorded(studio, width=128)
    parting = compare(cat, large)
    assert not parting.distances
    sizes, maps = parting.notes
    assert sizes == "The latents have different sizes, 8×8 and 8×16, so their distance cannot be told."
    assert maps == "The attention maps have different sizes, so attention is not compared."
    other = open_studio(random_models, "model-b", tmp_path)
    b = recorded(other)
    assert compare(cat, b).notes[0] == (
        "They are of two models, model-a and model-b: not only the words differ."
    )
    assert list(compare(cat, b).distances) == [NOISY, PREDICTED, ATTENTION]
    apart = compare(cat, replace(b, facts=replace(b.facts, latent_rgb=None)))
    assert apart.notes[0] == (
        "The models model-a and model-b do not keep pictures in the same latents, so their distance would"
        " mean nothing."
    )
    assert list(apart.distances) == [ATTENTION]
    parting = compare(cat, recorded(studio, seed=9))
    assert parting.notes == ("They began from different noise, so they are apart from the first step on.",)
    assert parting.distances[NOISY][0] > 1
    parting = compare(cat, recorded(studio, attention=False))
    assert parting.notes == ("Attention was not recorded in both runs, so it is not compared.",)
    assert ATTENTION not in parting.distances
    changed = replace(cat, facts=replace(cat.facts, model_stamp=(("a", 1, 2),)))
    assert compare(cat, changed).notes[0].startswith("The file of model-a has changed")


# -- the panel


def test_without_another_picture_the_strongest_word_is_left_out(studio):
    look = look_at(studio, ALONE, attention=True)
    before = state_of(studio)
    files = make_parting(look)
    assert state_of(studio) == before
    assert files.said[0].startswith("No other picture was given, so this one is compared with the same noise")
    assert set(files.pictures) == {"curves", "films"}
    assert set(files.arrays) == {"noisy_picture", "predicted_picture", "attention"}
    table = files.tables["distances"]
    assert len(table) == 5
    assert table[0][4:] == ["attention", "predicted_picture", "noisy_picture"]
    empty = look_at(studio, replace(ALONE, prompt=""))
    with pytest.raises(ValueError, match="Give another picture to compare with"):
        make_parting(empty)


def test_a_second_picture_is_recorded_and_compared(random_models, tmp_path):
    folder = Settings(models_dir=random_models, model="model-a", outputs_dir=tmp_path, device="cpu")
    studio = Studio(replace(folder, cache_dir=tmp_path / "cache"))
    first, second = (
        studio.txt2img(replace(ALONE, prompt=prompt)).paths[0] for prompt in ("a red cat", "a red dog")
    )
    asked = InsideRequest(picture=first, other_picture=second, panels=("parting",))
    [panel] = studio.inside(asked).panels
    assert panel.why_not == ""
    assert panel.said[0] == "Compared with: “a red dog”, seed 5, 4 steps of model-a."
    plain = tmp_path / "plain.png"
    PICTURE.save(plain)
    [panel] = studio.inside(replace(asked, other_picture=plain)).panels
    assert panel.why_not.startswith("plain.png holds no parameters")
    assert not panel.files


def test_a_stop_comes_out_and_leaves_nothing(studio, cat):
    def stop(step: object) -> None:
        raise Cancelled

    before = state_of(studio)
    with pytest.raises(Cancelled):
        make_parting(Look(studio._ready_manager(), cat, on_step=stop))
    assert state_of(studio) == before


def test_from_a_picture_it_works_too(studio):
    asked = Img2ImgRequest(prompt="a cat", init_image=PICTURE, strength=0.8, **RUN)
    files = make_parting(look_at(studio, asked, attention=True))
    assert len(files.tables["distances"]) == 4
    assert PANEL.makes_pictures


def test_on_the_embedded_model_attention_parts_before_the_picture(studio: Studio):
    embedded = Studio(Settings(device="cpu"))
    asked = Txt2ImgRequest(prompt="an orange cat on the beach", scheduler="DDIM", num_inference_steps=10)
    heard: list[int] = []
    found = which_first(
        embedded._ready_manager(),
        asked,
        "an orange dog on the beach",
        seeds=(0, 1),
        on_seed=lambda one, parting: heard.append(one.seed),
    )
    assert heard == [0, 1]
    assert all(one.attention_first for one in found)
    assert all(one.steps[ATTENTION] == 1 for one in found)
    assert all((one.steps[PREDICTED] or 0) < (one.steps[NOISY] or 0) for one in found)
