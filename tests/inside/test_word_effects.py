"""What a word did is the difference of two answers, for every family, and for every way to write a prompt."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sd_app import Cancelled, Img2ImgRequest, InpaintRequest, Studio, Txt2ImgRequest
from sd_app.inside.answers import Answers, early_calls
from sd_app.inside.look import Look
from sd_app.inside.prompt_words import reader_of, words_in
from sd_app.inside.word_effects import WordEffects, rows_needed, word_effects
from sd_app.text import embeddings
from tests.addons.lora_writers import kohya, lora_layers, write_lora
from tests.addons.test_learned_words import put
from tests.conftest import make_checkpoint
from tests.test_denoise import MASK, PICTURE
from tests.test_observers import RUN, open_studio, state_of

ALONE = Txt2ImgRequest(prompt="a red cat, on the beach", negative_prompt="blue", scheduler="DDIM", **RUN)


def look_at(studio: Studio, request: Txt2ImgRequest, **options: Any) -> Look:
    options = {"attention": False, "features": False, **options}
    return studio.look(studio.record(request, keep=False, **options))


def map_of(effects: WordEffects, label: str) -> np.ndarray:
    return effects.maps[effects.labels.index(label)]


@pytest.fixture(scope="module")
def with_addons(random_models, tmp_path_factory) -> Studio:
    """A studio over model-a with a LoRA "a" and a learned word "noise" of three vectors."""
    folder: Path = tmp_path_factory.mktemp("with-addons")
    (folder / "model-a").symlink_to(random_models / "model-a")
    studio = open_studio(folder, "model-a", tmp_path_factory.mktemp("out"))
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        write_lora(folder / "loras" / "a.safetensors", kohya(lora_layers(pipe.components, 0)))
    put(folder, "noise", {"emb_params": torch.randn(3, 32)})
    return studio


def test_a_words_map_is_the_difference_of_two_answers_in_x0_units(random_studio):
    """Written out: both texts encoded, one call of the bare U-Net each, times noise over signal."""
    look = look_at(random_studio, ALONE)
    recording, effects = look.recording, word_effects(look, calls=(0, 1))
    with look.pipe() as pipe, torch.no_grad():
        for word, prompt in (("red", "a cat, on the beach"), ("beach", "a red cat, on the ")):
            total = torch.zeros(recording.latents.shape[-2:])
            for call in (0, 1):
                alphas = pipe.scheduler.alphas_cumprod[int(recording.timesteps[call])]
                both = [
                    pipe.unet(
                        recording.latents[call][None],
                        recording.timesteps[call],
                        embeddings.encode(pipe, text),
                    )[0][0]
                    for text in (ALONE.prompt, prompt)
                ]
                scale = ((1 - alphas) / alphas).sqrt()
                total += (scale * (both[1] - both[0])).square().sum(dim=0).sqrt() / 2
            expected = total.numpy()
            assert np.allclose(map_of(effects, word), expected, rtol=1e-4, atol=1e-4 * expected.max())
    assert effects.by_call.shape == (2, 6, 8, 8)
    assert np.allclose(effects.totals, effects.maps.mean(axis=(1, 2)))


def test_the_first_step_is_among_the_compared_ones_whatever_the_run(random_studio):
    for steps, expected in ((1, (0,)), (2, (0,)), (4, (0, 1)), (8, (0, 1, 2))):
        look = look_at(random_studio, replace(ALONE, num_inference_steps=steps))
        assert early_calls(look.recording) == expected
    second_order = look_at(random_studio, replace(ALONE, scheduler="Heun", num_inference_steps=9))
    assert early_calls(second_order.recording) == (0, 2, 4)


@pytest.mark.parametrize(
    ("folder", "model", "kind"),
    [
        ("random_models", "model-a", "txt2img"),
        ("random_models", "model-v", "txt2img"),
        ("sdxl_models", "xl", "txt2img"),
        ("sdxl_models", "xl-painter", "inpaint"),
        ("inpaint_models", "painter", "inpaint"),
        ("random_models", "model-a", "inpaint"),
        ("random_models", "model-a", "img2img"),
    ],
)
@pytest.mark.parametrize("scheduler", ["DDIM", "Euler", "Heun"])
def test_every_family_answers_the_whole_text_as_it_did_in_the_run(
    request, tmp_path, folder, model, kind, scheduler
):
    studio = open_studio(request.getfixturevalue(folder), model, tmp_path)
    run = {"prompt": ALONE.prompt, "negative_prompt": "blue", "scheduler": scheduler, **RUN}
    asked: Txt2ImgRequest = Txt2ImgRequest(**run)
    if kind == "img2img":
        asked = Img2ImgRequest(init_image=PICTURE, strength=0.8, **run)
    if kind == "inpaint":
        asked = InpaintRequest(init_image=PICTURE, mask_image=MASK, **run)
    before = state_of(studio)
    look = look_at(studio, asked)
    recording = look.recording
    for negative in (False, True):
        effects = word_effects(look, negative=negative)
        assert not [note for note in effects.notes if "does not answer as it did" in note]
        assert effects.maps.min() >= 0
        assert effects.maps.max() > 0
    with look.pipe() as pipe:
        answers = Answers(look, pipe)
        for call in range(recording.num_calls):
            [whole] = answers.ask(call, [answers.encode(ALONE.prompt, 1)])
            assert torch.allclose(whole, recording.conditional[call].float(), atol=1e-4), call
            [negative_half] = answers.ask(call, [answers.encode("blue", 1, negative=True)])
            expected = recording.unconditional_at(call)
            assert expected is not None
            assert torch.allclose(negative_half, expected.float(), atol=1e-4)
    assert state_of(studio) == before


@pytest.mark.parametrize(
    "prompt",
    [
        "a (red:1.4) cat on [the] beach",
        "a cat <lora:a:1> on the beach",
        "a noise on the <noise> beach",
        "a {row: cat + 0.5*dog} on the beach",
        "a {cat + 0.5*dog} on the beach",
        "a {input: lerp(cat, dog, 0.3)} on the beach",
        "a red cat BREAK on the (beach:1.2)",
        "red, " * 50 + "a cat on the beach",
    ],
)
def test_every_way_to_write_a_prompt_answers_as_it_did_and_words_do_something(with_addons, prompt):
    look = look_at(with_addons, replace(ALONE, prompt=prompt, clip_skip=2))
    found = words_in(look)
    effects = word_effects(look, found=found.only(*[word.label for word in found.words[-4:]]), calls=[0])
    assert not [note for note in effects.notes if "does not answer as it did" in note]
    assert (effects.totals > 0).all()


def test_a_learned_word_and_a_slot_are_one_word_each(with_addons):
    look = look_at(with_addons, replace(ALONE, prompt="a noise, {cat + dog} <noise>"))
    words = words_in(look).words
    assert [word.label for word in words] == ["a", "noise", "{cat + dog}", "<noise>"]
    assert [word.taken[0].count for word in words] == [1, 3, 1, 3]


def test_taking_out_the_slot_is_the_prompt_without_it(with_addons):
    look = look_at(with_addons, replace(ALONE, prompt="a {row: cat + 0.5*dog} here"))
    with look.pipe() as pipe:
        slot = next(word for word in words_in(look).words if word.kind == "slot")
        embeds = Answers(look, pipe).encode_without(reader_of(look), slot.taken[0], 1)
        assert torch.equal(embeds.positive, embeddings.encode(pipe, "a here"))


def test_words_of_other_windows_are_read_as_before_and_weights_are_kept(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt="big (red:1.3) cat " * 30))
    with look.pipe() as pipe:
        answers, reader = Answers(look, pipe), reader_of(look)
        whole = answers.encode(look.request.prompt, 2).positive
        first = words_in(look).words[4]
        shorter = answers.encode_without(reader, first.taken[0], 2).positive
        assert whole.shape == shorter.shape == (1, 154, 32)
        assert torch.equal(whole[:, 77:], shorter[:, 77:])
        assert torch.equal(whole[:, :5], shorter[:, :5])  # the encoder is causal
        assert not torch.equal(whole[:, 5:77], shorter[:, 5:77])


def test_the_last_word_of_a_window_leaves_as_many_windows_as_before(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt="red " * 75 + "cat"))
    with look.pipe() as pipe:
        found = words_in(look)
        embeds = Answers(look, pipe).encode_without(reader_of(look), found.words[-1].taken[0], 2)
        assert embeds.positive.shape[1] == 154
        assert torch.equal(embeds.positive[:, 77:], embeddings.encode(pipe, ""))


def test_sdxl_reads_the_shorter_text_with_both_encoders_and_the_pooled_vector(sdxl_models, tmp_path):
    look = look_at(open_studio(sdxl_models, "xl", tmp_path), ALONE)
    with look.pipe() as pipe:
        answers = Answers(look, pipe)
        red = words_in(look).words[1]
        shorter = answers.encode_without(reader_of(look), red.taken[0], 1)
        plain = answers.encode("a cat, on the beach", 1)
        assert torch.equal(shorter.positive, plain.positive)
        assert shorter.pooled is not None
        assert plain.pooled is not None
        assert torch.equal(shorter.pooled, plain.pooled)
        whole = answers.encode(ALONE.prompt, 1)
        assert whole.pooled is not None
        assert not torch.equal(shorter.pooled, whole.pooled)
        only = answers.encode("", 1, negative=True)
        assert not only.positive.any()
        assert only.pooled is not None
        assert not only.pooled.any()


def test_a_word_that_stands_twice_has_two_maps_and_both_places_are_taken_alone(random_studio):
    effects = word_effects(look_at(random_studio, replace(ALONE, prompt="a cat and a cat")))
    assert effects.labels == ("a", "cat", "and", "a (2)", "cat (2)")
    assert not np.array_equal(map_of(effects, "cat"), map_of(effects, "cat (2)"))
    alike = word_effects(look_at(random_studio, replace(ALONE, prompt="cat cat")))
    assert np.allclose(alike.maps[0], alike.maps[1])  # either way one is left


def test_a_word_read_later_has_an_empty_map_and_that_is_said(random_studio):
    asked = replace(ALONE, prompt="a [red:blue:0.9] cat", num_inference_steps=8)
    effects = word_effects(look_at(random_studio, asked))
    assert not map_of(effects, "blue").any()
    assert map_of(effects, "red").any()
    assert [note for note in effects.notes if note.endswith("without an effect: blue.")]
    assert "blue" in effects.little


def test_prompts_that_take_turns_count_at_the_calls_that_read_them(random_studio):
    asked = replace(ALONE, prompt="a [red|blue] cat", num_inference_steps=8)
    effects = word_effects(look_at(random_studio, asked), calls=(0, 1))
    place = {label: number for number, label in enumerate(effects.labels)}
    assert effects.by_call[0, place["red"]].any()
    assert not effects.by_call[1, place["red"]].any()
    assert effects.by_call[1, place["blue"]].any()
    assert effects.by_call[:, place["cat"]].any(axis=(1, 2)).all()


def test_of_prompts_joined_by_and_each_word_counts_with_its_prompts_weight(random_studio):
    once = word_effects(look_at(random_studio, replace(ALONE, prompt="a red cat AND a dog")), calls=[0])
    twice = word_effects(look_at(random_studio, replace(ALONE, prompt="a red cat:2 AND a dog :1")), calls=[0])
    assert np.allclose(map_of(twice, "red"), 2 * map_of(once, "red"), rtol=1e-4, atol=1e-5)
    assert np.allclose(map_of(twice, "dog"), map_of(once, "dog"), rtol=1e-4, atol=1e-5)


def test_a_text_that_reads_the_same_moves_nothing_at_all(random_studio, monkeypatch):
    look = look_at(random_studio, ALONE)

    def the_same(self, reader, taken, num_windows, *, negative=False):
        return self.encode(taken.text, num_windows, negative=negative)

    monkeypatch.setattr(Answers, "encode_without", the_same)
    effects = word_effects(look)
    assert not effects.by_call.any()
    assert effects.rows_run == len(effects.calls)
    assert set(effects.little) == set(effects.labels)
    assert not effects.strength.any()


def test_a_place_belongs_to_the_word_that_moved_it_most_and_its_bars_say_so(random_studio):
    effects = word_effects(look_at(random_studio, ALONE))
    for row, column in ((0, 0), (3, 5), (7, 7)):
        bars = effects.bars(row, column)
        assert bars[0][0] == effects.labels[effects.owners[row, column]]
        assert [value for _, value in bars] == sorted((value for _, value in bars), reverse=True)
        assert dict(bars)["cat"] == pytest.approx(float(map_of(effects, "cat")[row, column]))
    assert 0 <= effects.strength.min() <= effects.strength.max() == 1


def test_what_it_costs_is_known_before_and_told_meanwhile(random_studio):
    look = look_at(random_studio, ALONE)
    told: list[int] = []
    effects = word_effects(look, on_rows=told.append)
    assert effects.rows_run == rows_needed(look.recording, words_in(look)) == told[-1]
    alone = word_effects(look, found=words_in(look).only("cat"), calls=[0])
    assert alone.rows_run == 2
    assert np.allclose(alone.by_call[0, 0], effects.by_call[0, effects.labels.index("cat")], atol=1e-4)

    def stop(rows: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        word_effects(look, on_rows=stop)


def test_the_negative_prompts_words_are_compared_in_the_half_that_reads_them(random_studio):
    look = look_at(random_studio, replace(ALONE, negative_prompt="blue dog"))
    effects = word_effects(look, negative=True)
    assert effects.labels == ("blue", "dog")
    assert (effects.totals > 0).all()
    unguided = look_at(random_studio, replace(ALONE, guidance_scale=1.0))
    with pytest.raises(ValueError, match="no half without the prompt"):
        word_effects(unguided, negative=True)
    assert (word_effects(unguided).totals > 0).all()


def test_an_empty_prompt_has_no_words_and_costs_nothing(random_studio):
    effects = word_effects(look_at(random_studio, replace(ALONE, prompt="")))
    assert effects.labels == ()
    assert effects.rows_run == 0
    assert effects.little == ()


def test_a_model_with_guidance_inside_says_so(tmp_path):
    make_checkpoint(tmp_path / "lcm", seed=4, time_cond_proj_dim=16)
    look = look_at(open_studio(tmp_path, "lcm", tmp_path / "out"), ALONE)
    effects = word_effects(look)
    assert (effects.totals > 0).all()
    assert effects.notes == ("Guidance is inside this model: what a word did is shown as guided.",)


def test_a_run_that_began_from_a_picture_says_what_was_settled(random_studio):
    asked = Img2ImgRequest(
        prompt="a red cat", init_image=PICTURE, strength=0.5, **RUN | {"num_inference_steps": 8}
    )
    assert [
        note for note in word_effects(look_at(random_studio, asked)).notes if "began from a picture" in note
    ]
    full = replace(asked, strength=1.0)
    assert word_effects(look_at(random_studio, full)).notes == ()


def test_where_guidance_ends_or_deep_blocks_are_skipped_nothing_false_is_said(random_studio):
    asked = replace(ALONE, guidance_end=0.5, cache_interval=2, num_inference_steps=8)
    look = look_at(random_studio, asked)
    assert look.recording.shallow_calls
    effects = word_effects(look, calls=(0, 1, 6))
    assert not [note for note in effects.notes if "does not answer as it did" in note]
    assert word_effects(look, negative=True, calls=(0, 6)).calls == (0,)


def test_a_model_that_is_another_one_by_now_is_noticed(random_studio):
    look = look_at(random_studio, ALONE)
    other = replace(look.recording, request=replace(look.recording.request, model="model-b"))
    effects = word_effects(Look(look.manager, other))
    assert [note for note in effects.notes if "does not answer as it did" in note]
