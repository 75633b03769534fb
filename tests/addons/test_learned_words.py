"""Learned words: a file's vectors in the place of tokens. Identities first."""

import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest
import torch

from sd_app import BlendRequest, Settings, Studio, Txt2ImgRequest, WalkRequest
from sd_app.addons import read_words
from sd_app.cli import main
from sd_app.expressions import SPACES, parse_prompt
from sd_app.text.embeddings import Encoder, encode
from sd_app.text.prompts import chunk, pool_chunks
from sd_app.weights.pipeline import Pipeline
from tests.addons.lora_writers import write_lora as write
from tests.addons.steps import KNOWN, draw, lend

P = ParamSpec("P")
T = TypeVar("T")
WIDTH = 32  # of model-a's text encoder


@pytest.fixture(scope="module")
def models_dir(random_models, sdxl_models, tmp_path_factory) -> Path:
    """Random checkpoints, and embeddings/ with words whose vectors are those of known tokens."""
    folder: Path = tmp_path_factory.mktemp("with-words")
    for model in (random_models / "model-a", sdxl_models / "xl"):
        (folder / model.name).symlink_to(model)
    with (
        Studio(Settings(models_dir=folder, model="model-a"))
        ._ready_manager()
        .pipeline("model-a", "DDIM") as pipe
    ):
        put(folder, "my-cat", {"emb_params": vectors(pipe, "cat")})
        put(folder, "one", {"<dog>": vectors(pipe, "dog")[0]})
        put(folder, "pair", {"*": vectors(pipe, "red dog")})
        put(folder, "sub/Many.v2", {"emb_params": vectors(pipe, "bozuman")})
        put(folder, "noise", {"emb_params": torch.randn(2, WIDTH)})
    return folder


@pytest.fixture(scope="module")
def pipe(studio) -> Iterator[Pipeline]:
    with lend(Studio(studio.settings), model="model-a") as pipe:
        yield pipe


def vectors(pipe: Pipeline, text: str, index: int = 0) -> torch.Tensor:
    ids = pipe.tokenizer(text, add_special_tokens=False).input_ids
    encoder = pipe.text_encoders[index]
    table: torch.Tensor = encoder.get_input_embeddings().weight.detach()
    return table[ids].float().clone()


def put(folder: Path, name: str, tensors: dict[str, torch.Tensor]) -> None:
    write(folder / "embeddings" / f"{name}.safetensors", tensors)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("a drawing of <my-cat>", "a drawing of cat"),
        ("a drawing of my-cat, red", "a drawing of cat, red"),
        ("a (big:1.2) (MY-CAT:1.3) [one] here", "a (big:1.2) (cat:1.3) [dog] here"),
        ("a pair and a <Pair>", "a red dog and a red dog"),
        ("my-cat's <many.v2>.", "cat's bozuman."),
        ("red, " * 30 + "BREAK my-cat", "red, " * 30 + "BREAK cat"),
        ("a my-catty someone one1 _one", "a my-catty someone one1 _one"),
        ("a <stranger> <b>", "a <stranger> <b>"),
    ],
)
def test_a_word_whose_vectors_are_known_tokens_becomes_their_tensor(pipe, written, plain):
    from sd_app.addons import NO_WORDS

    words, pipe.words = pipe.words, NO_WORDS
    expected = encode(pipe, plain)
    pipe.words = words
    assert torch.equal(encode(pipe, written), expected)


def test_its_picture_is_that_of_the_plain_word_to_the_byte(studio):
    expected = draw(studio, "a drawing of a cat", negative_prompt="a red dog")
    assert draw(studio, "a drawing of a <my-cat>", negative_prompt="a pair") == expected
    assert draw(studio, "a drawing of a noise") != expected


@pytest.mark.parametrize("space", SPACES)
def test_a_word_counts_in_every_space_of_an_expression(pipe, space):
    plain = encode(pipe, f"a {{{space}: cat + 0.43*dog}} here")
    assert torch.equal(encode(pipe, f"a {{{space}: <my-cat> + 0.43*<one>}} here"), plain)
    assert torch.equal(encode(pipe, f"a {{{space}: cat + 0.43*one}} here"), plain)
    mixed = encode(pipe, f"a {{{space}: lerp(<my-cat>, <pair>, 0)}} here")
    assert torch.equal(mixed, encode(pipe, "a cat here"))


def test_the_sum_in_the_input_space_stands_in_the_words_own_place(pipe):
    """An edit goes before the word's own vector."""
    half = encode(pipe, "a {input: 0.5*<my-cat>} here")
    assert torch.equal(half, encode(pipe, "a {input: 0.5*cat} here"))
    assert not torch.equal(half, encode(pipe, "a cat here"))


def test_blends_and_walks_take_words(studio):
    blend = BlendRequest(expression="<my-cat> + one", prompt="a {}", **KNOWN)
    expected = studio.blend(BlendRequest(expression="cat + dog", prompt="a {}", **KNOWN), save=False)
    result = studio.blend(blend, save=False)
    assert result.images[0].tobytes() == expected.images[0].tobytes()
    assert result.near == expected.near
    walk = WalkRequest(a="<my-cat>", b="one", prompt="a {}", frames=2, film="none", **KNOWN)
    pictures = [image.tobytes() for image in studio.walk(walk, save=False).images]
    assert pictures == [draw(studio, "a cat"), draw(studio, "a dog")]


def test_an_unknown_word_in_braces_is_answered_with_those_there_are(studio):
    request = Txt2ImgRequest(prompt="a {<stranger> + cat}", **KNOWN)
    with pytest.raises(ValueError, match=r"got <stranger> \(there are: <Many.v2>, <my-cat>"):
        studio.txt2img(request, save=False)
    with pytest.raises(ValueError, match="got <stranger>"):
        studio.token_table(request.prompt)
    studio.txt2img(Txt2ImgRequest(prompt='a {"<stranger>" + cat}', **KNOWN), save=False)  # quotes: plain text


def test_n_vectors_are_n_tokens_and_shown_as_the_words(studio):
    report = studio.tokens("a <many.v2> here")
    assert [(t.text, t.learned, t.vector, t.position, t.ends_word) for t in report.tokens] == [
        ("a", "", 0, 1, True),
        ("<many.v2>", "Many.v2", 0, 2, False),
        ("", "Many.v2", 1, 3, False),
        ("", "Many.v2", 2, 4, True),
        ("here", "", 0, 5, True),
    ]
    assert report.count == 5
    rows = studio.token_table("a <many.v2> here").rows
    assert [row.learned for row in rows[:6]] == ["", "", "Many.v2", "Many.v2", "Many.v2", ""]
    encoding = studio.encode("a <many.v2> here")
    assert encoding.table.rows[3].vector == 1
    assert (encoding.embeds == studio.encode("a bozuman here").embeds).all()


def test_a_word_is_not_divided_between_chunks(studio):
    report = studio.tokens("red " * 74 + "<many.v2> here")
    assert [len(report.chunk_tokens(k)) for k in (0, 1)] == [74, 4]
    assert report.chunk_text(1) == "<many.v2> here"


def test_sdxl_reads_a_vector_in_each_encoder_and_in_the_pooled_one(models_dir, tmp_path):
    studio = Studio(Settings(models_dir=models_dir, model="xl", outputs_dir=tmp_path))
    with lend(studio, model="xl") as pipe:
        put(models_dir, "xl-cat", {"clip_l": vectors(pipe, "cat"), "clip_g": vectors(pipe, "cat", 1)})
    with lend(studio, model="xl") as pipe:
        assert torch.equal(encode(pipe, "a <xl-cat> here"), encode(pipe, "a cat here"))
        pooled = [
            pool_chunks(pipe, chunk(pipe.tokenizer, text, pipe.words)) for text in ("a xl-cat", "a cat")
        ]
        assert torch.equal(*pooled)
        sums = [Encoder(pipe).pool(parse_prompt(text)) for text in ("{<xl-cat> + dog}", "{cat + dog}")]
        assert torch.equal(*sums)
    assert draw(studio, "a xl-cat") == draw(studio, "a cat")
    with pytest.raises(ValueError, match=r"my-cat is one for another family .the model is SDXL"):
        draw(studio, "a my-cat")
    with pytest.raises(ValueError, match=r"xl-cat is one for SDXL .the model is Stable Diffusion 1"):
        draw(studio, "a xl-cat", model="model-a")


def four_bits(width: int) -> bytes:
    """Return a file of numbers of four bits, which torch cannot read."""
    entry = {"dtype": "F4", "shape": [1, width], "data_offsets": [0, width // 2]}
    raw = json.dumps({"emb_params": entry}).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(width // 2)


BAD: dict[str, tuple[dict[str, torch.Tensor] | bytes, str]] = {
    "wide": (
        {"emb_params": torch.ones(1, 48)},
        "the vectors of wide have 48 columns where the model's have 32",
    ),
    "foreign": ({"emb_params": torch.ones(1, 1024)}, "foreign is one for Stable Diffusion 2"),
    "pickled": (b"PK\x03\x04" + bytes(100), "pickled cannot: it is a pickle"),
    "cut": (b"nothing", "cut cannot: it is cut off"),
    "lora": ({"a.lora_down.weight": torch.ones(1), "a.lora_up.weight": torch.ones(1)}, "of an embedding"),
    "cube": ({"emb_params": torch.ones(2, 2, 2)}, "an embedding's is"),
    "long": ({"emb_params": torch.ones(76, WIDTH)}, "it has 76 vectors"),
    "whole": ({"emb_params": torch.ones(1, WIDTH).long()}, "whole cannot: its numbers are I64, and only F16"),
    "four": (four_bits(WIDTH), "four cannot: its numbers are F4, and only F16"),
    "nan": ({"emb_params": torch.full((1, WIDTH), float("nan"))}, "nan has a value that is not one"),
    "odd": ({"clip_l": torch.ones(1, 4), "clip_g": torch.ones(2, 4)}, "its two tensors have 1 and 2 vectors"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_file_is_refused_by_name_and_only_where_it_is_meant(models_dir, tmp_path, name):
    contents, words = BAD[name]
    folder = tmp_path / "models"
    (folder / "embeddings").mkdir(parents=True)
    (folder / "model-a").symlink_to(models_dir / "model-a")
    studio = Studio(Settings(models_dir=folder, model="model-a", outputs_dir=tmp_path))
    if isinstance(contents, bytes):
        (folder / f"embeddings/{name}.safetensors").write_bytes(contents)
    else:
        put(folder, name, contents)
    with pytest.raises(ValueError, match=words) as caught:
        studio.encode(f"a <{name}>")
    assert str(tmp_path) not in str(caught.value)
    assert studio.encode("a cat").embeds.shape == (77, WIDTH)


def test_two_files_of_one_name_are_refused_where_they_are_meant(models_dir, tmp_path):
    for place in ("twin", "sub/Twin"):
        put(tmp_path, place, {"emb_params": torch.ones(1, WIDTH)})
    words = read_words(Settings(models_dir=tmp_path), "sd1")
    assert list(words.split("a cat")) == ["a cat"]
    with pytest.raises(ValueError, match="2 files in embeddings/ are called twin"):
        list(words.split("a <twin>"))


def test_a_changed_file_is_read_anew(models_dir, studio):
    put(models_dir, "moving", {"emb_params": torch.ones(1, WIDTH)})
    before = studio.encode("a moving")
    put(models_dir, "moving", {"emb_params": torch.ones(2, WIDTH)})
    assert studio.tokens("a moving").count == 3
    assert (studio.encode("a moving").embeds != before.embeds).any()


def counted(call: Callable[P, T], counts: Counter[str], name: str, *args: P.args, **kwargs: P.kwargs) -> T:
    counts[name] += 1
    return call(*args, **kwargs)


def test_5000_words_cost_a_prompt_little(tmp_path, monkeypatch):
    (tmp_path / "embeddings").mkdir()
    for number in range(5000):
        (tmp_path / f"embeddings/style {number}.safetensors").touch()
    prompt = "a style of its own, style 49, style " * 300
    counts: Counter[str] = Counter()
    for owner, name in ((os, "stat"), (io, "open")):
        monkeypatch.setattr(owner, name, partial(counted, getattr(owner, name), counts, name))
    words = read_words(Settings(models_dir=tmp_path), "sd1")
    with pytest.raises(ValueError, match="style 49 cannot: it is empty"):
        list(words.split(prompt))
    assert len(list(words.split("a style of its own, " * 500))) == 1
    # Each file is asked once whether it has changed, and the one that is meant is opened.
    assert counts["open"] == 1
    assert 5000 <= counts["stat"] < 5020


def test_the_command_line_lists_what_there_is_and_why_some_cannot_be_used(models_dir, tmp_path, capsys):
    put(tmp_path, "soft", {"emb_params": torch.ones(2, 768)})
    put(tmp_path, "odd", {"a": torch.ones(1), "b": torch.ones(1)})
    (tmp_path / "loras").mkdir()
    (tmp_path / "loras/cut.safetensors").write_bytes(b"nothing")
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae/sharp.safetensors").touch()
    assert main(["addons", "--models-dir", str(tmp_path)]) == 0
    cut, odd, soft, vae = capsys.readouterr().out.splitlines()
    assert cut.startswith("<lora:cut:1>  LoRA: it is cut off")
    assert odd == "<odd>  Learned word: its tensors are not those of an embedding"
    assert soft == "<soft>  Learned word, Stable Diffusion 1, 2 vectors"
    assert vae == "--vae sharp"


def test_the_command_line_says_where_files_go_if_there_are_none(tmp_path, capsys):
    assert main(["addons", "--models-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for name in ("loras", "embeddings", "vae"):
        assert str(tmp_path / name) in said
