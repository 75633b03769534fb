"""Runs with one thing changed: what is not changed is the same to the byte, and all is put back."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention

from sd_app import Cancelled, Img2ImgRequest, InpaintRequest, Studio, Txt2ImgRequest
from sd_app.inside.again import make_frames, with_another_word, with_prompts, without_words
from sd_app.inside.closed_rows import GROUPS, RowCloser, with_closed_rows
from sd_app.inside.look import Look
from sd_app.inside.prompt_words import words_in
from sd_app.probes.observers import Observer, StepTaken, UNetCall
from sd_app.requests.text import END, PADDING, START, TEXT
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_denoise import MASK, PICTURE
from tests.test_observers import KINDS, RUN, make, open_studio, state_of

FROM_PICTURES = {
    "txt2img": ALONE,
    "img2img": Img2ImgRequest(prompt="a cat", init_image=PICTURE, strength=0.8, **RUN),
    "inpaint": InpaintRequest(prompt="a cat", init_image=PICTURE, mask_image=MASK, **RUN),
}


# -- without a word, or with another one


@pytest.mark.parametrize("kind", FROM_PICTURES)
def test_the_same_prompt_again_gives_the_same_bytes(random_studio, kind):
    look = look_at(random_studio, FROM_PICTURES[kind])
    [again] = with_prompts(look, [look.request.prompt], ["again"])
    assert again.is_identical
    assert again.sentence == "The picture is the same to the byte."
    assert again.picture.tobytes() == look.recording.decoded.tobytes()


@pytest.mark.parametrize("kind", FROM_PICTURES)
def test_without_a_word_it_is_the_studios_own_picture_of_the_shorter_prompt(random_studio, kind):
    look = look_at(random_studio, FROM_PICTURES[kind])
    cat = words_in(look).only("cat").words
    [again] = without_words(look, cat)
    assert again.request == replace(look.request, prompt=again.request.prompt)
    assert "cat" not in again.request.prompt
    assert again.picture.tobytes() == look_at(random_studio, again.request).recording.decoded.tobytes()
    assert not again.is_identical
    assert again.label == "without cat"


def test_several_words_are_taken_out_in_batches_each_alone(random_studio):
    look = look_at(random_studio, ALONE)
    words = words_in(look).words
    again = without_words(look, words)
    assert [each.label for each in again] == [f"without {word.label}" for word in words]
    [alone] = without_words(look, words[1:2])
    apart = np.abs(np.asarray(alone.picture).astype(int) - np.asarray(again[1].picture).astype(int))
    assert apart.max() <= 2  # a batch rounds otherwise
    assert without_words(look, ()) == []


def test_prompts_of_several_windows_are_run_one_by_one(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt="red " * 75 + "cat"))
    words = words_in(look).words
    shorter = without_words(look, [words[0], words[-1]])
    assert [each.request.prompt.count("red") for each in shorter] == [74, 75]
    assert not any(each.is_identical for each in shorter)


def test_another_word_stands_in_its_place_and_an_empty_one_takes_it_out(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt="a (red:1.3) cat"))
    red = words_in(look).words[1]
    again = with_another_word(look, red, "blue")
    assert (again.label, again.request.prompt) == ("blue instead of red", "a (blue:1.3) cat")
    assert with_another_word(look, red, " ").label == "without red"
    assert with_another_word(look, red, "red").is_identical
    with pytest.raises(ValueError, match="prompt"):
        with_another_word(look, red, "{cat + ")


def test_nothing_of_it_is_saved_and_a_stop_comes_out(random_studio):
    look = look_at(random_studio, ALONE)
    without_words(look, words_in(look).words[:1])
    assert not list(random_studio.settings.outputs_dir.rglob("*.png"))

    def stop(step: object) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        without_words(Look(look.manager, look.recording, on_step=stop), words_in(look).words[:1])


# -- closed rows


@pytest.mark.parametrize("kind", KINDS)
def test_with_nothing_closed_every_kind_of_job_draws_the_same_bytes(random_models, tmp_path, kind):
    studio = open_studio(random_models, "model-a", tmp_path)
    expected = make(studio, kind, KINDS[kind])
    before = state_of(studio)
    assert make(studio, kind, KINDS[kind], RowCloser(())) == expected
    assert state_of(studio) == before


@pytest.mark.parametrize("prompt", ["", "a cat", "a cat BREAK a dog", "[a:b:0.5]", "a AND b c AND d:0.5"])
def test_and_so_does_every_prompt_also_closing_kinds_it_has_not(random_studio, prompt):
    request = replace(ALONE, prompt=prompt)
    expected = make(random_studio, "txt2img", request)
    assert make(random_studio, "txt2img", request, RowCloser(("no such kind",))) == expected
    if not prompt:
        assert make(random_studio, "txt2img", request, RowCloser((TEXT,))) == expected


@pytest.mark.parametrize(
    ("folder", "model"),
    [("random_models", "model-a"), ("random_models", "model-v"), ("sdxl_models", "xl")],
)
def test_closed_rows_get_no_attention_and_only_where_the_prompt_is_read(request, tmp_path, folder, model):
    """Beside a loop that takes the closed rows out of the text itself: softmax over fewer rows."""
    studio = open_studio(request.getfixturevalue(folder), model, tmp_path)
    look = look_at(studio, replace(ALONE, num_inference_steps=1))
    kinds = [START, *[TEXT] * 7, END, *[PADDING] * 68]  # the comma is a token
    for name, closed in GROUPS.items():
        made, expected = Outputs(), Outputs()
        make_frames(look, look.request, observers=[RowCloser(closed), made])
        with look.pipe() as pipe:
            unet = pipe.unet
        with shortened(unet, [kind not in closed for kind in kinds]):
            make_frames(look, look.request, observers=[expected])
        for one, other in zip(made.halves, expected.halves, strict=True):
            assert torch.allclose(one, other, atol=1e-5), name
        without, whole = made.halves
        assert torch.allclose(without, look.recording.unconditional[0], atol=1e-5)  # that half is left alone
        assert torch.equal(whole, look.recording.conditional[0]) == (not closed)


class Outputs(Observer):
    """Keeps both outputs of the one call: without the prompt, and with it."""

    needs_every_part = True

    def on_unet_call(self, call: UNetCall) -> None:
        assert call.unconditional is not None
        self.halves = call.unconditional[0], call.conditional[0]


class shortened:  # noqa: N801 - reads as a context
    """Cut rows of the text out of the second half of every cross attention's batch."""

    def __init__(self, unet: torch.nn.Module, keep: list[bool]) -> None:
        self._unet, self._keep = unet, torch.tensor(keep)
        self._before: dict[Attention, Callable[..., torch.Tensor]] = {}

    def __enter__(self) -> None:
        for part in self._unet.modules():
            if isinstance(part, Attention) and part.is_cross_attention:
                self._before[part] = part.processor
                part.processor = self._short(part.processor)

    def _short(self, inner: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def run(attn, hidden_states, encoder_hidden_states=None, *args, **kwargs):
            half = len(hidden_states) // 2
            first = inner(attn, hidden_states[:half], encoder_hidden_states[:half], *args, **kwargs)
            text = encoder_hidden_states[half:, self._keep]
            return torch.cat([first, inner(attn, hidden_states[half:], text, *args, **kwargs)])

        return run

    def __exit__(self, *_: object) -> None:
        for part, processor in self._before.items():
            part.processor = processor


@pytest.mark.parametrize("name", list(GROUPS)[1:])
@pytest.mark.parametrize(
    "prompt", ["a cat AND a dog AND a red bird BREAK here:0.5", "[a cat:a dog here:0.5] x"]
)
def test_texts_that_change_or_are_joined_are_each_closed_by_their_own_rows(random_studio, name, prompt):
    """All pictures differ from the whole one, and are what closing each text alone would give."""
    look = look_at(random_studio, replace(ALONE, prompt=prompt))
    made = with_closed_rows(look, name)
    assert not made.is_identical
    assert with_closed_rows(look, name).picture.tobytes() == made.picture.tobytes()


def test_where_no_row_would_stay_open_it_is_refused_in_words(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt=""))
    before = state_of(random_studio)
    with pytest.raises(ValueError, match="at least one row must stay open"):
        with_closed_rows(look, "all but words closed")
    assert state_of(random_studio) == before
    assert with_closed_rows(look, "all words closed").is_identical


def test_after_a_stop_or_an_error_in_the_middle_the_processors_are_the_same_objects(random_studio):
    look = look_at(random_studio, ALONE)
    before = state_of(random_studio)

    class Failing:
        def on_step(self, step: StepTaken) -> None:
            if step.index == 1:
                raise KeyError

    with pytest.raises(KeyError):
        make_frames(look, look.request, observers=[RowCloser((TEXT,)), Failing()])
    assert state_of(random_studio) == before


def test_on_the_embedded_model_padding_alone_keeps_the_picture(studio: Studio):
    asked = Txt2ImgRequest(prompt="a big red circle on the beach", seed=1, scheduler="DDIM")
    look = look_at(studio, asked)
    kept = with_closed_rows(look, "all words closed")
    assert kept.changed_share < 0.2, kept.sentence
    gone = without_words(look, words_in(look).only("beach").words)[0]
    assert gone.changed_share > 0.4, gone.sentence
