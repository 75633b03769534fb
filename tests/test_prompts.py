from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sd_app.text import prompts
from sd_app.text.prompts import Piece, chunk, encode, encode_pair, parse, tokenize
from sd_app.weights.caches import forget
from sd_app.weights.pipeline import Pipeline
from tests.bare import bare_pipeline


@pytest.fixture(scope="module")
def pipe(studio) -> Iterator[Pipeline]:
    manager = studio._ready_manager()
    with manager.pipeline("tiny-sd", "DDIM") as pipe:
        yield pipe


def runs(prompt: str) -> list[tuple[str | None, float]]:
    return [(piece.text, round(piece.weight, 6)) for piece in parse(prompt)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat", [("a cat", 1)]),
        ("a (red) cat", [("a ", 1), ("red", 1.1), (" cat", 1)]),
        ("a [red] cat", [("a ", 1), ("red", round(1 / 1.1, 6)), (" cat", 1)]),
        ("(red:1.3)", [("red", 1.3)]),
        ("(red : 1.3 )", [("red ", 1.3)]),
        ("(red:.5)(cat:-1)", [("red", 0.5), ("cat", -1)]),
        ("((red))", [("red", 1.21)]),
        ("((red:1.2) cat)", [("red", 1.32), (" cat", 1.1)]),
        (r"a \(b\) \[c\] \\", [(r"a (b) [c] \ "[:-1], 1)]),
        ("open (never closed", [("open ", 1), ("never closed", 1.1)]),
        ("closed) never] opened:1.2)", [("closed) never] opened:1.2)", 1)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1), (" c", round(1 / 1.1, 6))]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),
        ("ratio 3:4", [("ratio 3:4", 1)]),
        ("(a:1) b", [("a b", 1)]),
        ("a BREAK b", [("a ", 1), (None, 1), (" b", 1)]),
        ("BREAKFAST", [("BREAKFAST", 1)]),
        ("", []),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",  # the example of AUTOMATIC1111's parser
            [
                ("a ", 1),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
        ),
    ],
)
def test_weights_are_read_as_people_know_them(prompt, expected):
    assert runs(prompt) == expected


@given(st.text(alphabet=st.characters(exclude_characters="()[]\\:", exclude_categories=["Cs"])))
def test_text_without_markup_is_one_run_as_it_stands(text):
    if "BREAK" not in text:
        assert parse(text) == ([Piece(text=text)] if text else [])


@settings(max_examples=300)
@given(st.text(alphabet="ab ()[]\\:.19-,BREAK"))
def test_any_tangle_of_markup_is_read(text):
    assert all(abs(piece.weight) <= prompts.MAX_WEIGHT for piece in parse(text))


@pytest.mark.timeout(20, func_only=True)  # torch and the model are loaded before
@pytest.mark.parametrize(
    "prompt", ["(" * 10_000 + "a" + ")" * 10_000, "(a[" * 6_000, ":" * 20_000, "(a)" * 6_000]
)
def test_ten_thousand_brackets_take_no_time(pipe, prompt):
    tokenize(pipe.tokenizer, prompt)


def test_a_rare_word_is_shown_in_its_pieces(pipe):
    report = tokenize(pipe.tokenizer, "Bozuman (cat:1.5)")
    assert [(t.text, t.id, t.ends_word, t.weight) for t in report.tokens] == [
        ("Bo", 647, False, 1),
        ("zu", 4091, False, 1),
        ("man", 786, True, 1),
        ("cat", 2368, True, 1.5),
    ]
    assert (report.count, report.num_chunks, report.limit) == (4, 1, 75)


def test_an_empty_prompt_has_one_empty_chunk(pipe):
    assert tokenize(pipe.tokenizer, "").num_chunks == 1


def test_a_character_of_several_tokens_is_shown_once(pipe):
    report = tokenize(pipe.tokenizer, "本 😀")
    assert "".join(token.text for token in report.tokens) == "本😀"
    assert report.count > 2


def test_a_typed_control_token_stays_text(pipe):
    report = tokenize(pipe.tokenizer, "a <|endoftext|> b <|startoftext|>")
    assert not {token.id for token in report.tokens} & {49406, 49407}


def test_token_76_starts_the_second_chunk(pipe):
    assert tokenize(pipe.tokenizer, "cat " * 75).num_chunks == 1
    report = tokenize(pipe.tokenizer, "cat " * 76)
    assert report.num_chunks == 2
    assert (report.tokens[74].chunk, report.tokens[74].position) == (0, 75)
    assert (report.tokens[75].chunk, report.tokens[75].position) == (1, 1)


def test_a_full_chunk_is_divided_after_a_comma_nearby(pipe):
    report = tokenize(pipe.tokenizer, "cat " * 69 + ", one two three four five six seven")
    assert report.chunk_text(1) == "one two three four five six seven"
    far = tokenize(pipe.tokenizer, "cat " * 40 + ", " + "dog " * 40)
    assert len(far.chunk_tokens(0)) == 75


def test_break_starts_a_new_chunk(pipe):
    report = tokenize(pipe.tokenizer, "a cat BREAK a dog BREAK")
    assert [report.chunk_text(0), report.chunk_text(1)] == ["a cat", "a dog"]
    assert report.num_chunks == 2


@pytest.mark.parametrize(
    "prompt", ["a red cat on the beach", "x", "Crème brûlée, 本 😀!", "cat " * 75, "3:4"]
)
def test_a_plain_prompt_is_encoded_bit_for_bit_as_the_pipeline_does(pipe, prompt):
    expected, expected_negative = bare_pipeline(pipe).encode_prompt(prompt, "cpu", 1, True, "blurry")
    embeds, negative_embeds = encode_pair(pipe, prompt, "blurry")
    assert torch.equal(embeds, expected)
    assert torch.equal(negative_embeds, expected_negative)
    assert torch.equal(encode(pipe, prompt), expected)


def test_a_weight_of_one_changes_nothing(pipe):
    assert torch.equal(encode(pipe, "a (red:1) cat"), encode(pipe, "a red cat"))


def test_a_weight_multiplies_its_tokens(pipe):
    plain, weighted = encode(pipe, "a red cat"), encode(pipe, "a (red:1.5) cat")
    ratio = (weighted[:, 2] / weighted[:, 3]) / (plain[:, 2] / plain[:, 3])
    assert torch.allclose(ratio, torch.full_like(ratio, 1.5), rtol=1e-3)


@pytest.fixture
def shifted_pipe(pipe) -> Iterator[Pipeline]:
    """The embedded model whose encoder's mean is more than noise, as that of Stable Diffusion 1.5 is."""
    bias = pipe.text_encoder.final_layer_norm.bias.data
    before = bias.clone()
    bias += 0.5
    forget(pipe.text_encoder)
    yield pipe
    bias.copy_(before)
    forget(pipe.text_encoder)


def test_the_old_mean_is_restored(shifted_pipe):
    plain, weighted = encode(shifted_pipe, "a red cat"), encode(shifted_pipe, "a (red:1.5) cat")
    expected = plain.clone()
    expected[:, 2] *= 1.5
    assert not torch.allclose(expected.mean(), plain.mean(), atol=1e-3)
    assert torch.allclose(weighted, expected * plain.mean() / expected.mean(), atol=1e-5)
    assert torch.allclose(weighted.mean(), plain.mean(), atol=1e-6)


def test_a_mean_that_is_noise_is_left_alone(pipe):
    plain, weighted = encode(pipe, "a red cat"), encode(pipe, "a (red:1.5) cat")
    assert plain.mean().abs() < 0.02 * plain.std()
    expected = plain.clone()
    expected[:, 2] *= 1.5
    assert torch.equal(weighted, expected)


def test_a_mean_that_is_only_noise_is_not_divided_by():
    tokens = chunk_of(weight=1.2)
    embeds = torch.randn(1, 77, 16, generator=torch.Generator().manual_seed(0))
    embeds -= embeds.mean()
    weighted = prompts._weigh(embeds, tokens)
    assert torch.allclose(weighted[:, 1], embeds[:, 1] * 1.2)
    assert torch.allclose(weighted[:, 2:], embeds[:, 2:])


def test_a_mean_that_means_something_is_restored():
    tokens = chunk_of(weight=1.2)
    embeds = torch.randn(1, 77, 16, generator=torch.Generator().manual_seed(0)) + 0.5
    weighted = prompts._weigh(embeds, tokens)
    assert torch.allclose(weighted.mean(), embeds.mean())
    assert torch.allclose(weighted[:, 1] / weighted[:, 2], 1.2 * embeds[:, 1] / embeds[:, 2], rtol=1e-4)


def chunk_of(weight: float) -> list[prompts.Token]:
    return [prompts.Token(text="a", id=320, position=1, chunk=0, weight=weight)]


def test_both_prompts_are_padded_to_the_longer_one(pipe):
    embeds, negative_embeds = encode_pair(pipe, "cat " * 160, "blurry")
    assert embeds.shape[1] == negative_embeds.shape[1] == 3 * 77
    assert torch.equal(embeds[:, :77], encode(pipe, "cat " * 75))
    assert torch.equal(negative_embeds[:, 77:154], encode(pipe, ""))


def test_chunks_are_encoded_one_by_one(pipe):
    embeds = encode(pipe, "a cat BREAK a dog")
    assert torch.equal(embeds, torch.cat([encode(pipe, "a cat"), encode(pipe, "a dog")], dim=1))


def test_clip_skip_takes_an_earlier_layer_and_normalises_it(pipe):
    ids = torch.tensor([pipe.tokenizer("a cat", padding="max_length").input_ids])
    with torch.no_grad():
        output = pipe.text_encoder(ids, output_hidden_states=True)
    norm = getattr(pipe.text_encoder, "text_model", pipe.text_encoder).final_layer_norm
    assert torch.equal(encode(pipe, "a cat", clip_skip=1), norm(output.hidden_states[-1]))
    assert torch.equal(encode(pipe, "a cat", clip_skip=2), norm(output.hidden_states[-2]))


def test_a_clip_skip_past_the_first_layer_is_refused(pipe):
    layers = pipe.text_encoder.config.num_hidden_layers
    encode(pipe, "a cat", clip_skip=layers)
    with pytest.raises(ValueError, match=f"clip_skip must be at most {layers}"):
        encode(pipe, "a cat", clip_skip=layers + 1)


def test_chunks_and_report_agree(pipe):
    text = "a (red:1.2) cat, " * 30
    tokens = [token for part in chunk(pipe.tokenizer, text) for token in part]
    assert tuple(tokens) == tokenize(pipe.tokenizer, text).tokens
