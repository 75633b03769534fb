"""Studio.interrogate as a whole on the embedded CLIP: names, captions, rarity, subsets, matching, the CLI."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sd_app import InterrogateRequest, MatchRequest, Settings, Studio, cli
from sd_app.interrogator.rarity import chance_of_cosine, percentile
from sd_app.requests import MAX_MATCHES
from tests.hub.server import set_offline
from tests.interrogating import held_out, names_the_thing


@pytest.fixture(scope="module")
def result(studio):
    return studio.interrogate(InterrogateRequest(image=held_out(3)[0], mode="best", caption="a drawing"))


def test_the_result_says_what_it_is_worth(result) -> None:
    assert result.caption == "a drawing"
    assert result.caption_similarity == result.curve[0] < result.similarity
    assert [score.similarity for score in result.scores] == list(result.curve)
    assert result.scores[-1].prompt == result.prompt
    assert result.scores[-1].percentile == result.percentile
    assert sum(step.gain for step in result.steps) == pytest.approx(result.similarity - result.curve[0])
    assert result.dimensions == 128
    assert result.percentile > 99
    assert result.chance == chance_of_cosine(result.similarity, 128) < 1e-9
    assert result.request.clip_model == result.clip_model == "tiny-clip"
    assert [group.name for group in result.groups] == ["backgrounds", "places", "sizes", "styles", "things"]
    for group in result.groups:
        values = [phrase.similarity for phrase in group.phrases]
        assert values == sorted(values, reverse=True)
        assert len(values) == min(10, len(values))


def test_every_phrase_can_be_switched_off_and_cosine_and_prompt_follow(studio, result) -> None:
    everything = studio.score_phrases(result, range(len(result.phrases)))
    assert everything.prompt == result.prompt
    assert everything.similarity == pytest.approx(result.similarity, abs=1e-5)
    assert everything.percentile == pytest.approx(result.percentile, abs=0.5)
    nothing = studio.score_phrases(result, [])
    assert nothing.prompt == "a drawing"
    assert nothing.similarity == pytest.approx(result.caption_similarity, abs=1e-5)
    some = studio.score_phrases(result, [2, 0])
    assert some.prompt == f"a drawing, {result.phrases[0]}, {result.phrases[2]}"
    with pytest.raises(ValueError, match=r"keep must hold indices from 0 to \d+, got 99"):
        studio.score_phrases(result, [99])


def test_the_curve_follows_the_phrases_that_are_on(studio, result) -> None:
    """Its points are the cosines of the caption and of the prompt after each phrase that is kept."""
    everything = studio.score_phrases(result, range(len(result.phrases)))
    assert everything.curve == result.curve
    assert studio.score_phrases(result, []).curve == (pytest.approx(result.caption_similarity, abs=1e-5),)
    first = studio.score_phrases(result, [0]).curve
    some = studio.score_phrases(result, [0, 2])
    assert len(some.curve) == 3
    assert some.curve[:2] == pytest.approx(first)
    assert some.curve[-1] == some.similarity
    second = studio.score_phrases(result, [2]).curve
    assert second[0] == pytest.approx(some.curve[0])
    assert second[1] != pytest.approx(some.curve[1], abs=1e-7)


def test_an_empty_prompt_has_no_score(studio) -> None:
    result = studio.interrogate(
        InterrogateRequest(image=held_out(0)[0], mode="best", caption="", max_phrases=1)
    )
    with pytest.raises(ValueError, match="keep must leave something"):
        studio.score_phrases(result, [])


@pytest.mark.parametrize("mode", ["best", "fast", "deep", "negative"])
def test_no_prompt_has_more_phrases_than_asked_for(studio, mode: str) -> None:
    for index in range(3):
        image = held_out(index)[0]
        request = InterrogateRequest(image=image, caption="a drawing", mode=mode, max_phrases=2)
        assert 1 <= len(studio.interrogate(request).phrases) <= 2


@pytest.mark.parametrize(("cosine", "chance"), [(0.2, 1.1e-8), (0.24, 7.7e-12)])
def test_the_chance_of_a_cosine_in_768_dimensions(cosine: float, chance: float) -> None:
    assert chance_of_cosine(cosine, 768) == pytest.approx(chance, rel=0.02)


def test_the_chance_is_that_of_random_directions() -> None:
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((200_000, 6))
    cosines = directions[:, 0] / np.linalg.norm(directions, axis=1)
    for cosine in (-0.9, -0.3, 0.0, 0.1, 0.5, 0.8):
        assert chance_of_cosine(cosine, 6) == pytest.approx((cosines > cosine).mean(), abs=0.004)
    assert (chance_of_cosine(1.0, 6), chance_of_cosine(-1.0, 6)) == (0, 1)


def test_a_percentile_counts_what_is_below() -> None:
    assert [percentile(value, [0.1, 0.2, 0.3, 0.4]) for value in (0.0, 0.2, 0.25, 1.0)] == [0, 25, 50, 100]
    assert math.isnan(percentile(0.1, []))


def test_the_right_text_is_picked_for_every_picture_and_the_other_way_round(studio) -> None:
    pictures = [held_out(index) for index in (1, 2, 6)]
    texts = [f"a {scene.color} {scene.subject}, {scene.style}" for _, scene in pictures]
    result = studio.match(MatchRequest(images=[image for image, _ in pictures], texts=texts))
    by_text, by_image = np.array(result.text_chances), np.array(result.image_chances)
    assert by_text.argmax(axis=1).tolist() == by_image.argmax(axis=0).tolist() == [0, 1, 2]
    assert np.allclose(by_text.sum(axis=1), 1)
    assert np.allclose(by_image.sum(axis=0), 1)
    # Beside every cosine its rarity, the same an interrogation of that picture gives.
    scores = result.scores
    assert [[score.similarity for score in row] for row in scores] == [list(row) for row in result.cosines]
    ranks = np.array([[score.percentile for score in row] for row in scores])
    assert ranks.argmax(axis=1).tolist() == [0, 1, 2]
    assert ranks.min() >= 0
    assert ranks.max() <= 100
    alone = studio.interrogate(InterrogateRequest(image=pictures[1][0], caption=texts[1], mode="fast"))
    assert scores[1][1].percentile == pytest.approx(alone.scores[0].percentile, abs=0.1)
    scaled = np.exp(result.scale * np.array(result.cosines))
    assert np.allclose(by_text, scaled / scaled.sum(axis=1, keepdims=True))


def test_a_picture_is_most_like_itself(studio) -> None:
    image, other = held_out(1)[0], held_out(2)[0]
    same, different = studio.compare_pictures(image, [image, other])
    assert same == pytest.approx(1, abs=1e-5)
    assert different < 0.95
    assert studio.compare_pictures(image, []) == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "worst"}, "mode must be one of true, best, fast, classic, negative, deep"),
        ({"min_phrases": -1}, "min_phrases must be a whole number from 0 to 64"),
        ({"max_phrases": 0}, "max_phrases must be"),
        ({"groups": ()}, "groups must be one name or more"),
        ({"groups": "artists"}, "groups must be one name or more"),
        ({"caption": 5}, "caption must be text"),
        ({"beam_width": 99}, "beam_width must be"),
        ({"image": 3}, "image must be a picture or the path of one"),
    ],
)
def test_a_bad_request_is_refused_in_words(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InterrogateRequest(**{"image": Image.new("RGB", (8, 8)), **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"clip_model": "../tiny-clip"}, "clip_model must name an architecture that open_clip knows"),
        ({"clip_model": "ViT-L-14/nobody"}, "clip_model must name one of openai, .* after the slash"),
        ({"clip_model": "..", "caption": "x"}, "clip_model must"),
        ({"caption": "word " * 76}, "caption must have at most 75 tokens, got 76"),
        ({"caption_model": "nobody"}, "caption_model must be one of .*or type a caption"),
        ({"image": "missing.png"}, "missing.png does not exist"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(studio, fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        studio.interrogate(InterrogateRequest(**{"image": held_out(0)[0], **fields}))
    assert studio.interrogate(
        InterrogateRequest(image=held_out(0)[0], mode="best", caption="", max_phrases=1)
    ).prompt


def test_without_a_connection_the_error_says_what_to_do(studio, tmp_path, monkeypatch) -> None:
    import huggingface_hub.constants

    set_offline(monkeypatch, on=True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match=r"ViT-B-32/openai cannot be downloaded.*folder in open_clip's layout"):
        studio.interrogate(
            InterrogateRequest(image=held_out(0)[0], caption="", clip_model="ViT-B-32", groups=("mediums",))
        )


def test_shared_pages_offer_only_what_lies_in_the_models_folder() -> None:
    shared = Studio(Settings(mode="shared"))
    assert shared.clip_models() == ("tiny-clip",)
    assert "ViT-L-14/openai" in Studio(Settings()).clip_models()
    with pytest.raises(ValueError, match="clip_model must be one of tiny-clip; got 'ViT-B-32'"):
        shared.interrogate(InterrogateRequest(image=held_out(0)[0], caption="", clip_model="ViT-B-32"))


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "open_clip_config.json").write_text("{}")
    with pytest.raises(ValueError, match="safetensors, and pickles are refused"):
        Studio(Settings(models_dir=tmp_path)).interrogate(
            InterrogateRequest(image=held_out(0)[0], caption="", clip_model="mine")
        )


def test_the_clip_is_kept_beside_the_pipelines_and_unloaded_with_them(random_settings) -> None:
    from sd_app import Txt2ImgRequest

    studio = Studio(Settings(models_dir=random_settings.models_dir, model="model-a", device="cpu"))
    studio.txt2img(Txt2ImgRequest(prompt="a", num_inference_steps=1), save=False)
    studio.match(MatchRequest(images=[held_out(0)[0]], texts=["a cat"]))
    assert studio.status().loaded == ("model-a", "CLIP tiny-clip")
    studio.unload()
    assert studio.status().loaded == ()


def test_a_clip_makes_room_for_a_checkpoint_and_the_other_way_round(random_settings) -> None:
    from sd_app import Txt2ImgRequest

    models_dir = random_settings.models_dir
    studio = Studio(Settings(models_dir=models_dir, model="model-a", device="cpu", cache_gigabytes=0))
    for _ in range(2):
        studio.txt2img(Txt2ImgRequest(prompt="a", num_inference_steps=1), save=False)
        assert studio.status().loaded == ("model-a",)
        studio.match(MatchRequest(images=[held_out(0)[0]], texts=["a cat"]))
        assert studio.status().loaded == ("CLIP tiny-clip",)


def test_a_full_memory_is_an_error_that_says_what_helps(studio, monkeypatch) -> None:
    from sd_app.interrogator import modes

    def fail(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    request = InterrogateRequest(image=held_out(0)[0], mode="best", caption="", max_phrases=1)
    with monkeypatch.context() as patch:
        patch.setattr(modes, "rank", fail)
        with pytest.raises(MemoryError, match="choose a smaller clip_model"):
            studio.interrogate(request)
    assert studio.interrogate(request).prompt


def test_matches_are_limited() -> None:
    with pytest.raises(ValueError, match=f"texts must number 1 to {MAX_MATCHES}, got 13"):
        MatchRequest(images=[Image.new("RGB", (8, 8))], texts=["a"] * 13)
    with pytest.raises(ValueError, match="texts 2 must not be empty"):
        MatchRequest(images=[Image.new("RGB", (8, 8))], texts=["a", " "])


QUICK = ("--mode", "fast", "--caption", "a drawing", "--max-phrases", "2")


def test_the_command_prints_the_prompt(tmp_path: Path, capsys) -> None:
    held_out(1)[0].save(tmp_path / "a.png")
    assert cli.main(["interrogate", str(tmp_path / "a.png"), *QUICK, "--groups", "things", "styles"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("a drawing, ")
    assert out.count("\n") == 1


def test_a_folder_becomes_a_csv_file_and_a_bad_picture_stops_nothing(tmp_path: Path, capsys) -> None:
    folder, output = tmp_path / "pictures", tmp_path / "words.csv"
    folder.mkdir()
    for index in range(2):
        held_out(index)[0].save(folder / f"{index}.png")
    (folder / "bad.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    assert cli.main(["interrogate", str(folder), *QUICK, "-o", str(output)]) == 2
    shown = capsys.readouterr()
    assert [line.split(": ")[0] for line in shown.out.splitlines()] == [
        str(folder / f"{k}.png") for k in range(2)
    ]
    assert "bad.jpg: error: bad.jpg is not a picture" in shown.err
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["file"]).name for row in rows] == ["0.png", "1.png", "bad.jpg"]
    assert rows[2]["error"]
    assert 0 < float(rows[0]["similarity"]) < 1
    assert rows[0]["prompt"].startswith("a drawing, ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.png"], "nothing.png is not there"),
        (["."], "holds none"),
        (["a.png", "-o", "out.txt"], "output must end in .csv"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path: Path, monkeypatch, capsys, words, message) -> None:
    monkeypatch.chdir(tmp_path)
    if "-o" in words:
        held_out(0)[0].save("a.png")
    assert cli.main(["interrogate", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def share_named(studio, count: int) -> float:
    """Return the share of held-out pictures whose prompt speaks of the subject in its colour."""
    named = 0
    for index in range(count):
        image, scene = held_out(index)
        result = studio.interrogate(InterrogateRequest(image=image, mode="best"))
        named += names_the_thing(result.prompt, scene)
    return named / count


def test_prompts_name_what_the_picture_shows(studio) -> None:
    assert share_named(studio, 4) >= 0.5


@pytest.mark.slow
def test_85_of_100_prompts_name_subject_and_colour(studio) -> None:
    assert share_named(studio, 100) >= 0.85
