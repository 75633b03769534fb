"""What is done on the page in the panels of the U-Net, the parting and the encoder; and bad questions."""

from dataclasses import replace

import numpy as np
import pytest

from sd_app import Cancelled, Studio
from sd_app.inside.activations import activations
from sd_app.inside.encoder_layers import layers_of, with_layer
from sd_app.inside.film import frames
from sd_app.inside.look import Look
from sd_app.inside.parting import compare
from sd_app.inside.unet_actions import all_cuts, belongs, parts_and_cuts
from sd_app.inside.unet_panels import make_unet
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_observers import open_studio, state_of


@pytest.fixture(scope="module")
def studio(random_models, tmp_path_factory) -> Studio:
    return open_studio(random_models, "model-a", tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="module")
def look(studio) -> Look:
    return look_at(studio, ALONE, attention=True)


def test_a_part_is_shown_at_every_step_as_it_is_worked_out(studio, look):
    begun = studio.look_answer(look, "unet", "begin", {}).numbers
    told = begun["parts"]
    assert list(told) == [part.name for part in parts_and_cuts(look)[0].parts]
    for name in ("up_blocks.1.resnets.0", "mid_block.resnets.0"):
        answer = studio.look_answer(look, "unet", "part", {"part": name})
        assert answer.numbers["calls"] == [0, 1, 2, 3]
        assert answer.numbers["is_seen"] == told[name]["seen"] == (name[0] == "u")
        found = activations(look, [name])[name]
        for call, image in answer.pictures.items():
            assert np.array_equal(np.asarray(image), np.asarray(found.picture(int(call))))


def test_where_the_run_left_deep_blocks_out_it_is_said(studio):
    shallow = look_at(studio, replace(ALONE, cache_interval=2))
    assert shallow.recording.shallow_calls == (1, 3)
    said = studio.look_answer(shallow, "unet", "part", {"part": "mid_block.resnets.0"}).numbers["said"]
    assert said.endswith(" stood in for the deep blocks at steps 2 and 4; here all are run.")
    assert make_unet(shallow).said[1] == said[said.index("In the run") :]


def test_every_cut_stands_at_the_part_it_takes_away_and_the_page_lists_all(studio, look):
    parts, cuts = parts_and_cuts(look)
    listed = studio.look_answer(look, "cuts", "begin", {}).numbers["cuts"]
    assert [one["name"] for one in listed] == [cut.name for cut in cuts]
    told = studio.look_answer(look, "unet", "begin", {}).numbers["parts"]
    at = {cut.name: [part.name for part in parts.parts if belongs(cut, part, parts)] for cut in cuts}
    assert at["outermost skip"] == ["conv_in"]
    assert at["all cross attention"] == []
    assert at["middle block"] == [part.name for part in parts.parts if part.half == "mid"]
    assert at["cross attention on the way up"] == ["up_blocks.0.attentions.1"]
    for name, one in told.items():
        assert one["cuts"] == [cut for cut, where in at.items() if name in where]


def test_a_cut_from_the_page_is_the_same_picture_as_from_python(studio, look):
    for panel in ("unet", "cuts"):
        answer = studio.look_answer(look, panel, "cut", {"name": "middle block"})
        assert set(answer.pictures) == {"picture", "difference"}
        assert not answer.numbers["is_identical"]
        assert answer.numbers["nothing"] == (answer.numbers["changed"] <= 0.05)


def test_another_run_is_compared_by_words_seed_or_as_it_is_kept(studio, look):
    other = look_at(studio, replace(ALONE, prompt="a dog"), attention=True).recording
    expected = compare(look.recording, other)
    look.list_others = lambda: [{"name": "x", "prompt": "a dog", "seed": "5"}]
    look.open_other = {"x": other}.__getitem__
    assert studio.look_answer(look, "parting", "kept", {}).numbers == {"kept": look.list_others()}
    keys = set()
    for given in ({"with": "prompt", "prompt": "a dog"}, {"with": "kept", "kept": "x"}):
        answer = studio.look_answer(look, "parting", "compare", given)
        keys.add(answer.numbers["key"])
        assert answer.numbers["said"] == expected.sentence
        for curve in answer.numbers["curves"]:
            assert np.allclose(curve["distances"], expected.distances[curve["what"]])
            assert curve["step"] == expected.step(curve["what"])
        assert answer.pictures["b"].tobytes() == other.decoded.tobytes()
        shown = studio.look_answer(
            look, "parting", "frames", {"key": answer.numbers["key"], "side": "b", "frames": [1, 4]}
        )
        for frame, image in zip((1, 4), frames(studio.look(other), chosen=[1, 4]), strict=True):
            assert np.array_equal(np.asarray(shown.pictures[f"b:{frame}"]), np.asarray(image))
    assert len(keys) == 2
    seeded = studio.look_answer(look, "parting", "compare", {"with": "seed", "seed": 6})
    assert seeded.numbers["notes"] == [
        "They began from different noise, so they are apart from the first step on."
    ]


def test_a_run_of_other_length_is_shown_at_the_nearest_noise_level(studio, look):
    other = look_at(studio, replace(ALONE, num_inference_steps=4, scheduler="Heun"), attention=True).recording
    look.open_other = {"y": other}.__getitem__
    numbers = studio.look_answer(look, "parting", "compare", {"with": "kept", "kept": "y"}).numbers
    levels = other.sigmas[::2].tolist()
    for call, chosen in enumerate(numbers["others"]):
        assert chosen % 2 == 0
        apart = [abs(level - float(look.recording.sigmas[call])) for level in levels]
        assert apart[chosen // 2] == min(apart)
    assert numbers["other_calls"] == other.num_calls


def test_a_layers_picture_from_the_page_is_the_same_as_from_python(studio, look):
    layers = studio.look_answer(look, "encoder", "begin", {}).numbers["layers"]
    assert [one["label"] for one in layers] == ["layer 1", "layer 2", "layer 3"]
    assert [one["is_read"] for one in layers] == [False, False, True]
    with look.pipe() as pipe:
        every = layers_of(pipe, look.request)
    for number in (0, 2):
        answer = studio.look_answer(look, "encoder", "layer", {"number": number})
        assert answer.pictures["picture"].tobytes() == with_layer(look, every[number]).picture.tobytes()
        assert answer.numbers["is_identical"] == (number == 2)


@pytest.mark.parametrize(
    ("panel", "action", "given", "said"),
    [
        ("unet", "part", {"part": "up_blocks.9"}, "part must be one of conv_in, "),
        ("unet", "part", {}, "part must be one of"),
        ("cuts", "cut", {"name": "everything"}, "name must be one of outermost skip"),
        ("unet", "cut", {"name": ["middle block"]}, "name must be one of"),
        ("parting", "compare", {"with": "nothing"}, "with must be one of prompt, seed, kept"),
        ("parting", "compare", {"with": "seed", "seed": -1}, "seed must be a whole number from 0"),
        ("parting", "compare", {"with": "seed", "seed": True}, "seed must be a whole number"),
        (
            "parting",
            "compare",
            {"with": "prompt", "prompt": "x" * 30_000},
            "prompt must be a text of at most",
        ),
        ("parting", "compare", {"with": "prompt", "prompt": "a {cat"}, "prompt"),
        ("parting", "frames", {"key": "prompt:?", "side": "a", "frames": [0]}, "put away since"),
        ("encoder", "layer", {"number": 3}, "number must be a whole number from 0 to 2"),
    ],
)
def test_bad_questions_are_refused_in_words_and_leave_nothing(studio, look, panel, action, given, said):
    before = state_of(studio)
    with pytest.raises(ValueError, match=said):
        studio.look_answer(look, panel, action, given)
    assert state_of(studio) == before


def test_a_recording_that_may_not_be_opened_is_refused(studio, look):
    look.open_other = None
    with pytest.raises(ValueError, match="not kept any more"):
        studio.look_answer(look, "parting", "compare", {"with": "kept", "kept": "somebody else's"})


def test_what_takes_long_is_told_and_can_be_stopped(studio, look):
    heard: list[str] = []

    def stop(step) -> None:
        heard.append(step.text)
        if step.step == 2:
            raise Cancelled

    all_cuts(look)  # known by now
    before = state_of(studio)
    look.on_step = stop
    try:
        with pytest.raises(Cancelled):
            studio.look_answer(look, "unet", "part", {"part": "up_blocks.1.resnets.0"})
    finally:
        look.on_step = None
    assert heard == ["Asking the U-Net again"] * 3
    assert state_of(studio) == before
