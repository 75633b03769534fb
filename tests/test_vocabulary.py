"""Words that a model never saw in training: marked under the prompt, said by results and terminal."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sd_app import Img2ImgRequest, Settings, Studio, Txt2ImgRequest, WalkRequest, cli
from sd_app.catalog import list_models
from sd_app.checkpoints.model_info import ModelInfo
from sd_app.expressions.vocabulary import unseen_sentence, unseen_words
from sd_app.settings import EMBEDDED_DIR
from sd_app.tiny import world
from sd_app.tiny.export import DRAWS
from sd_app.ui.embeddings.expression_lines import unseen_span
from sd_app.ui.shared.controls import draws_line, token_line

PROFILE = json.loads((EMBEDDED_DIR / "tiny-sd" / "studio.json").read_text("utf-8"))
WORDS = tuple(PROFILE["known_words"])
ASTRONAUT = "tiny-sd never saw this word in training and cannot draw it: “astronaut”."
TINY = ModelInfo(
    name="tiny-sd", title="", kind="folder", path=None, family="sd1", native_size=128, known_words=WORDS
)


def test_the_list_beside_the_embedded_model_is_its_training_captions() -> None:
    assert list(WORDS) == world.caption_words()
    assert PROFILE["draws"] == DRAWS
    tables = (world.SUBJECT_WORDS, world.COLOR_WORDS, world.SIZE_WORDS, world.PLACE_WORDS, world.SCENE_WORDS)
    every = [text for table in (*tables, world.STYLE_WORDS) for texts in table.values() for text in texts]
    assert [text for text in every if unseen_words(text, WORDS)] == []
    assert [text for text in PROFILE["example_prompts"] if unseen_words(text, WORDS)] == []
    assert (
        unseen_words(DRAWS.partition(":")[2], ("and", "or", "one", "as", "plain", "place", "size", "color"))
        != ()
    )


@pytest.mark.parametrize(
    "prompt",
    [
        *("a red cat", "", "CATS, Cats, cat's big cats’ cat’s", "puppies, boxes, houses"),
        *("(cat:1.2), [dog], ((star))", "[cat:dog:0.5] on a [red|blue] ball"),
        *("a cat BREAK a dog", "a cat AND a dog:0.5", "a {cat + 0.43*dog} at night"),
        *("a {lerp(cat, dog, 0.5)}", '{"a big cat" - red}', "{row: cat + dog}"),
        *("<lora:x:1> a cat", "8-bit pixel-art", "medium-sized", "sky-blue", "a_red_cat", "3 cats, 2024"),
        *(r"a \(red\) cat", "starred, painted, sketched", "Edvard Munch's style", "🐱 cat", "cat,dog;star."),
    ],
)  # fmt: skip
def test_known_words_and_their_forms_are_not_marked(prompt: str) -> None:
    assert unseen_words(prompt, WORDS) == ()


@pytest.mark.parametrize(
    ("prompt", "unseen"),
    [
        ("an astronaut", ("astronaut",)),
        ("Astronauts, ASTRONAUTS (astronauts:1.3)", ("astronauts",)),
        ("a {cat + 0.43*tabby}, {mean(cat, robot)}", ("tabby", "robot")),
        ("[cat:horse:0.5] [dog|sheep] AND a cow:0.4", ("horse", "sheep", "cow")),
        ("[cat:horse:0.5] later, [owl::3]", ("horse", "later", "owl")),
        ("a (big (horse:1.2):0.8) [cow]", ("horse", "cow")),
        ("ein Hund, 猫, Über", ("ein", "hund", "猫", "über")),
        ("1girl, 4k, masterpiece", ("1girl", "4k", "masterpiece")),
        ("staring, caring, stated", ("staring", "caring", "stated")),  # of stare, care, state
        ("catlike, doghouse, sea-horse, reddish", ("catlike", "doghouse", "sea-horse", "reddish")),
        ("<lora:astronaut:1> cat <odd>", ("odd",)),
        (r"a cat \(robot\)", ("robot",)),
        ('{"a robot in a meadow"}', ("robot",)),
    ],
)
def test_words_that_were_never_seen_are_found_wherever_they_stand(
    prompt: str, unseen: tuple[str, ...]
) -> None:
    assert sorted(unseen_words(prompt, WORDS)) == sorted(unseen)


def test_learned_words_and_triggers_are_known_and_nothing_is_known_of_other_models() -> None:
    assert unseen_words("<Odd> zxq style, ohwx man", WORDS, learned=("odd", "ohwx man")) == ("zxq",)
    assert unseen_words("an astronaut", ()) == ()
    assert unseen_words("a AND b", WORDS, negative=True) == ("and", "b")


def test_the_sentence_is_one_however_many_words_there_are() -> None:
    assert unseen_sentence("m", ()) == ""
    assert unseen_sentence("tiny-sd", ["astronaut"]) == ASTRONAUT
    many = unseen_sentence("m", [f"w{k}" for k in range(20)])
    assert many.startswith("m never saw these words in training and cannot draw them: “w0”, ")
    assert many.endswith("“w11” and 8 more.")
    assert len(unseen_sentence("m", ["x" * 20_000])) < 150


def test_tokens_results_and_the_terminal_say_it(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    report = studio.tokens("an astronaut in a meadow")
    assert report.unseen == ("astronaut",)
    assert report.remarks == (ASTRONAUT,)
    assert studio.tokens("a red cat") == studio.tokens("a red cat", "tiny-sd")
    assert studio.tokens("a red cat").remarks == ()
    assert studio.tokens("", negative=True).remarks == ()
    assert studio.tokens("blurry", negative=True).unseen == ("blurry",)
    quick: dict[str, Any] = {"num_inference_steps": 2, "schedule_type": "SGM Uniform", "seed": 1}
    made = studio.txt2img(
        Txt2ImgRequest(prompt="an astronaut", negative_prompt="blurry", **quick), save=False
    )
    assert made.notice.endswith("and cannot draw them: “astronaut”, “blurry”.")
    assert studio.txt2img(Txt2ImgRequest(prompt="a red cat", **quick), save=False).notice == ""
    start = Img2ImgRequest(prompt="an astronaut", init_image=made.images[0], strength=1.0, **quick)
    assert studio.img2img(start, save=False).notice == ASTRONAUT
    walk = WalkRequest(a="cat", b="astronaut", prompt="a big {}", frames=2, film="none", **quick)
    assert ASTRONAUT in studio.walk(walk, save=False).notice
    assert cli.main(["tokens", "an astronaut"]) == 0
    assert ASTRONAUT in capsys.readouterr().out


def test_of_other_models_nothing_is_said(random_studio: Studio) -> None:
    assert random_studio.tokens("an astronaut").unseen == ()
    assert random_studio.tokens("an astronaut").remarks == ()
    request = Txt2ImgRequest(prompt="an astronaut", num_inference_steps=4, schedule_type="SGM Uniform")
    assert random_studio.txt2img(request, save=False).notice == ""


def test_another_small_model_brings_its_own_words(random_models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    shutil.copytree(random_models / "model-a", folder)
    own = {"known_words": ["robot", "a"], "draws": "Robots & <i>more</i>."}
    (folder / "studio.json").write_text(json.dumps(own))
    studio = Studio(Settings(models_dir=tmp_path / "models", model="mine"))
    assert studio.tokens("a robot, a cat").unseen == ("cat",)
    assert draws_line(studio.models()[0]) == "<span>Robots &amp; &lt;i&gt;more&lt;/i&gt;.</span>"
    for wrong in ("a robot", 7, ["robot", 7], {"robot": 1}):
        (folder / "studio.json").write_text(json.dumps({"known_words": wrong, "draws": 7}))
        info = next(model for model in list_models(studio.settings) if model.name == "mine")
        assert info.known_words == ()
        assert info.draws == ""
        assert "The known_words in its studio.json is not read: it must be a list of words." in info.note


def test_a_loras_trigger_words_are_known_and_one_without_any_may_have_taught_all(tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    name = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    tensors = {
        f"{name}.lora_down.weight": np.zeros((2, 256), np.float32),
        f"{name}.lora_up.weight": np.zeros((1024, 2), np.float32),
    }
    save_file(tensors, folder / "told.safetensors", {"modelspec.trigger_phrase": "ohwx astronaut"})
    save_file(tensors, folder / "untold.safetensors")
    studio = Studio(Settings(models_dir=tmp_path))
    assert studio.tokens("an ohwx Astronaut on a horse").unseen == ("ohwx", "astronaut", "horse")
    assert studio.tokens("an ohwx Astronaut on a horse <lora:told:1>").unseen == ("horse",)
    assert studio.tokens("an ohwx Astronaut on a horse <lora:untold:1>").unseen == ()


def test_the_page_marks_the_words_and_escapes_them(studio: Studio) -> None:
    line = token_line(studio.tokens("an astronaut's <b>robot</b>"))
    assert "<mark>robot</mark>" in line
    assert "<mark>astronaut&#x27;s</mark>" in line
    assert "<b>robot" not in line
    assert "<mark>tabby</mark>" in unseen_span("cat + 0.43*tabby", TINY, ())
    assert unseen_span("cat + 0.43*dog", TINY, ()) == ""
    assert unseen_span("cat + <odd>", TINY, {"odd"}) == ""
    assert unseen_span("cat + (", TINY, ()) == ""  # said by the line itself
    assert unseen_span("tabby", None, ()) == ""
