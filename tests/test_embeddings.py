"""Arithmetic in the three spaces, on the embedded model's own encoder."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from sd_app.expressions import SPACES
from sd_app.text.embeddings import encode, encode_pair, lerp, nearest_words, slerp
from sd_app.text.learned_words import replaced_vectors
from sd_app.text.prompts import encode as encode_plain
from sd_app.weights.pipeline import Pipeline


@pytest.fixture(scope="module")
def pipe(studio) -> Iterator[Pipeline]:
    manager = studio._ready_manager()
    with manager.pipeline("tiny-sd", "DDIM") as pipe:
        yield pipe


def random_rows(seed: int) -> torch.Tensor:
    return torch.randn(77, 96, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    "expression",
    ["cat", "cat*1 + dog*0", "lerp(cat, dog, 0)", "slerp(cat, dog, 0)", "mean(cat, cat)"],
)
def test_what_comes_to_cat_is_the_plain_prompts_tensor_bit_for_bit(pipe, space, expression):
    plain = encode_plain(pipe, "a (big:1.2) cat on the beach")
    assert torch.equal(encode(pipe, f"a (big:1.2) {{{space}: {expression}}} on the beach"), plain)


@pytest.mark.parametrize("space", ["all", "input"])
@pytest.mark.parametrize("method", ["lerp", "slerp"])
def test_the_far_end_is_the_other_plain_prompt(pipe, space, method):
    prompt = f"a {{{space}: {method}(cat, dog, 1)}} on the beach"
    assert torch.equal(encode(pipe, prompt), encode_plain(pipe, "a dog on the beach"))


def test_a_sum_is_the_sum_of_the_tensors_exactly(pipe):
    cat, dog = (encode_plain(pipe, f"a drawing of {word}") for word in ("cat", "dog"))
    assert torch.equal(encode(pipe, "a drawing of {cat + dog}"), cat + dog)
    assert torch.equal(encode(pipe, "a drawing of {cat + 0.43*dog}"), cat + 0.43 * dog)
    assert torch.equal(encode(pipe, "a drawing of {cat - dog}"), cat - dog)
    assert torch.equal(encode(pipe, '{cat - ""}'), encode_plain(pipe, "cat") - encode_plain(pipe, ""))


@pytest.mark.parametrize("space", SPACES)
def test_what_is_taken_away_and_added_again_leaves_no_trace(pipe, space):
    there_and_back = encode(pipe, f"a {{{space}: cat - dog + dog}} here")
    assert torch.allclose(there_and_back, encode_plain(pipe, "a cat here"), atol=1e-4)


def test_the_row_space_changes_row_4_of_a_drawing_of_and_no_other(pipe):
    cat, dog = (encode_plain(pipe, f"a drawing of {word}") for word in ("cat", "dog"))
    embeds = encode(pipe, "a drawing of {row: cat + 0.43*dog}")
    others = [row for row in range(77) if row != 4]
    assert torch.equal(embeds[0, 4], cat[0, 4] + 0.43 * dog[0, 4])
    assert torch.equal(embeds[0, others], cat[0, others])


def test_an_edit_in_the_input_space_leaves_the_rows_before_it(pipe):
    cat, edited = encode_plain(pipe, "a big cat here"), encode(pipe, "a big {input: cat + 0.43*dog} here")
    assert torch.equal(edited[0, :3], cat[0, :3])
    assert (edited[0, 3:] != cat[0, 3:]).any(dim=1).all()


def test_the_input_space_reads_the_sum_of_token_vectors(pipe):
    weight = pipe.text_encoder.get_input_embeddings().weight
    cat, dog = (pipe.tokenizer(word, add_special_tokens=False).input_ids[0] for word in ("cat", "dog"))
    with replaced_vectors(pipe.text_encoder, {2: weight[cat] + 0.5 * weight[dog]}):
        expected = encode_plain(pipe, "a bird")
    assert torch.equal(encode(pipe, "a {input: cat + 0.5*dog}"), expected)
    assert torch.equal(encode_plain(pipe, "a bird"), encode(pipe, "a {bird}"))  # nothing is left behind


def test_a_word_of_several_tokens_has_as_many_rows_and_meets_others_by_its_mean(pipe):
    bozuman, cat = encode_plain(pipe, "a bozuman"), encode_plain(pipe, "a cat")
    half = encode(pipe, "a {row: 0*bozuman + cat}")
    assert torch.equal(half[0, 2:5], cat[0, 2].expand(3, -1))
    assert torch.equal(half[0, 5:], bozuman[0, 5:])
    other = encode(pipe, "a {row: 0*cat + bozuman}")
    assert torch.allclose(other[0, 2], bozuman[0, 2:5].mean(dim=0), atol=1e-6)
    for space in SPACES:
        assert torch.equal(encode(pipe, f"a {{{space}: bozuman}}"), bozuman)


def test_chunks_breaks_and_clip_skip_work_around_a_slot(pipe):
    before = "red, " * 38
    plain = encode_plain(pipe, before + "BREAK a cat here", clip_skip=2)
    dog = encode_plain(pipe, before + "BREAK a dog here", clip_skip=2)
    assert plain.shape[1] == 3 * 77
    for space in SPACES:
        assert torch.equal(encode(pipe, before + f"BREAK a {{{space}: cat}} here", clip_skip=2), plain)
    blended = encode(pipe, before + "BREAK a {row: lerp(cat, dog, 0.5)} here", clip_skip=2)
    row = 2 * 77 + 2
    assert torch.equal(blended[0, row], torch.lerp(plain[0, row], dog[0, row], 0.5))
    assert torch.equal(blended[0, :row], plain[0, :row])


@pytest.mark.parametrize("words", [80, 160])
def test_phrases_that_need_different_numbers_of_windows_are_not_added_up(pipe, words):
    long = "cat " * words
    for expression in (f'dog + "{long}"', f'lerp(dog, "{long}", 0.5)', f'mean("{long}", dog)'):
        with pytest.raises(ValueError, match=r"with “dog” it needs 1, with “cat cat .*” [23], and tables"):
            encode(pipe, f"{{{expression}}}")
    around = "a " * 75  # the phrase alone makes the difference
    with pytest.raises(ValueError, match="different heights cannot be added up"):
        encode(pipe, around + "{lerp(cat, big orange cat, 0.5)}".replace("cat,", '"",', 1))


@pytest.mark.parametrize("words", [80, 160])
def test_what_counts_for_nothing_changes_no_bit_however_long_it_is(pipe, words):
    long = "cat " * words
    for expression in (
        f'dog*1 + "{long}"*0',
        f'lerp(dog, "{long}", 0)',
        f'slerp("{long}", dog, 1)',
        f'dog + 0*("{long}" - bird)',
        f'lerp(dog + 0*"{long}", dog, 0.5)',
    ):
        assert torch.equal(encode(pipe, f"{{{expression}}}"), encode_plain(pipe, "dog")), expression
    ends = encode(pipe, f'{{lerp(dog, "{long}", 1)}}'), encode_plain(pipe, long)
    assert torch.equal(*ends)


def test_in_the_row_space_other_phrases_add_no_window(pipe):
    long = "cat " * 80
    assert torch.equal(encode(pipe, f'{{row: dog*1 + "{long}"*0}}'), encode_plain(pipe, "dog"))
    assert encode(pipe, f'{{input: dog + "{long}"}}').shape == encode_plain(pipe, "dog").shape


def test_two_slots_are_worked_out_from_left_to_right(pipe):
    rows = {(a, b): encode_plain(pipe, f"a {a} on {b}") for a in ("cat", "dog") for b in ("snow", "grass")}
    expected = (rows["cat", "snow"] - rows["cat", "grass"]) + (rows["dog", "snow"] - rows["dog", "grass"])
    assert torch.equal(encode(pipe, "a {cat + dog} on {snow - grass}"), expected)


def test_both_prompts_may_hold_slots_and_have_the_same_length(pipe):
    positive, negative = encode_pair(pipe, "{cat + dog}", "a {row: red} cat " + "cat " * 80)
    assert positive.shape == negative.shape == (1, 154, 96)
    assert torch.equal(negative, encode_plain(pipe, "a red cat " + "cat " * 80))
    assert torch.equal(positive[:, 77:], 2 * encode_plain(pipe, ""))
    same = encode_pair(pipe, r"a \{cat\}", "blurry")
    assert torch.equal(same[0], encode_plain(pipe, r"a \{cat\}"))
    assert torch.equal(same[1], encode_plain(pipe, "blurry"))


def test_a_plain_prompt_takes_the_plain_way(pipe, monkeypatch):
    monkeypatch.setattr("sd_app.text.embeddings.Encoder", None)
    embeds, negative = encode_pair(pipe, "a cat", "blurry")
    assert torch.equal(embeds, encode_plain(pipe, "a cat"))
    assert torch.equal(negative, encode_plain(pipe, "blurry"))


@pytest.mark.parametrize("t", [0.0, 1e-9, 0.3, 0.5, 1.0])
def test_slerp_keeps_the_length_and_divides_the_angle(t):
    a, b = (torch.nn.functional.normalize(random_rows(seed), dim=-1) for seed in (1, 2))
    point = slerp(a, b, t)
    assert torch.allclose(point.norm(dim=-1), torch.ones(77), atol=1e-5)
    angle = torch.acos((a * b).sum(dim=-1))
    assert torch.allclose((a * point).sum(dim=-1), torch.cos(t * angle), atol=1e-5)


def test_both_ways_hit_both_ends_exactly():
    a, b = random_rows(1), 7.3 * random_rows(2)
    for between in (lerp, slerp):
        assert torch.equal(between(a, b, 0.0), a)
        assert torch.equal(between(a, b, 1.0), b)


def test_slerp_goes_straight_where_there_is_no_arc():
    a = random_rows(1)
    for b in (a, -a, a * (1 + 1e-7), torch.zeros_like(a)):
        assert torch.equal(slerp(a, b, 0.25), torch.lerp(a, b, 0.25)) or not b.any()
        assert torch.isfinite(slerp(a, b, 0.25)).all()


def test_a_words_own_row_is_nearest_to_itself(pipe):
    row = encode_plain(pipe, "cat")[0, 1]
    near = nearest_words(pipe, row)
    assert near[0].text == "cat"
    assert near[0].cosine == pytest.approx(1, abs=1e-4)
    assert list(near) == sorted(near, key=lambda word: -word.cosine)
    assert np.isfinite([word.cosine for word in near]).all()
