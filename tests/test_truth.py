"""The mode "true": what it adds is true, and where nothing can be told it adds nothing and says so."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sd_app import InterrogateRequest, Settings, Studio, cli
from sd_app.interrogator import odds, search, truth, views
from sd_app.interrogator.clip import Clip, PictureEncoder, load_clip
from sd_app.interrogator.models import find_clip
from sd_app.interrogator.phrases import PhraseGroup, load_groups
from sd_app.interrogator.tables import PhraseTable, build_tables
from sd_app.requests import Cancelled, Finding, InterrogateResult, InterrogateStep
from sd_app.tiny import world
from sd_app.ui.interrogate import words
from sd_app.ui.interrogate.search_results import SearchResults
from sd_app.ui.shared.files import PictureFiles
from tests.truths import Tally, drawn, is_true, partly_wrong, stated

SEED = 4242
DRAWINGS = 16


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip(find_clip(Settings(), None), torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def tables(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> tuple[PhraseTable, ...]:
    found = find_clip(Settings(), None)
    empty = Settings(models_dir=tmp_path_factory.mktemp("models"))
    return build(load_groups(empty, found.folder, None), clip, tmp_path_factory.mktemp("cache"))


def build(groups: Sequence[PhraseGroup], clip: Clip, cache: Path) -> tuple[PhraseTable, ...]:
    return build_tables(groups, clip.tower, clip.key, cache, lambda *_: None)


def weigh(clip: Clip, image: Image.Image, tables: Sequence[PhraseTable]) -> dict[str, odds.Weighed]:
    """Return what is weighed of a picture, by the list's name."""
    picture = clip.picture_features([image])[0]
    encoder = PictureEncoder(clip, picture, lambda _: None)
    mean = truth.average(clip, image, picture)
    rivals = odds.find_rivals(tables, mean, clip.scale)
    return {each.rivals.name: each for each in odds.weigh(encoder, rivals, mean, clip.scale, lambda *_: None)}


def find(
    studio: Studio, image: Image.Image, caption: str | None = "", max_phrases: int | None = None
) -> InterrogateResult:
    return studio.interrogate(InterrogateRequest(image=image, caption=caption, max_phrases=max_phrases))


# -- what is added is true


@pytest.mark.parametrize("kind", ["none", "partly wrong", "written"])
def test_what_is_added_is_true_and_says_most_of_what_is_missing(studio, kind: str) -> None:
    tally = Tally()
    for index in range(DRAWINGS):
        image, scene = drawn(SEED, index)
        typed = {"none": "", "partly wrong": partly_wrong(scene, SEED, index), "written": None}
        result = find(studio, image, typed[kind])
        tally.add(scene, result.caption, result.phrases, result.similarity)
    if kind == "written":
        assert tally.false_each <= 0.05
    else:
        assert tally.precision >= 0.95
        assert tally.recall >= 0.65


def test_the_share_is_that_of_a_softmax_over_whole_prompts(clip, tables) -> None:
    """By open_clip's own encode_text, padded, with the synonyms known from the drawings' world."""
    image, _ = drawn(SEED, 1)
    weighed = weigh(clip, image, tables)
    assert list(weighed) == ["things", "sizes", "places", "backgrounds", "styles"]
    seen = [image, *views.shifted(image)]
    with torch.no_grad():
        pictures = clip.model.encode_image(torch.stack([clip._preprocess(view) for view in seen]))
        pictures = pictures / pictures.norm(dim=-1, keepdim=True)
        for name, phrases in (("sizes", world.SIZE_WORDS), ("styles", world.STYLE_WORDS)):
            kinds = [(kind, text) for kind, texts in phrases.items() for text in dict.fromkeys(texts)]
            prompts = list(weighed[name].prompts)
            assert all(text in prompt.split(", ") for (_, text), prompt in zip(kinds, prompts, strict=True))
            assert {len(prompt.split(", ")) for prompt in prompts} == {5}
            texts = clip.model.encode_text(open_clip.tokenizer.tokenize(prompts))
            cosines = texts / texts.norm(dim=-1, keepdim=True) @ pictures.T
            shares = (clip.scale * cosines.mean(dim=1)).softmax(dim=0)
            of_kind = {
                kind: sum(float(s) for (k, _), s in zip(kinds, shares, strict=True) if k == kind)
                for kind in phrases
            }
            phrase = weighed[name].rivals.phrases[weighed[name].best]
            kind = next(kind for kind, text in kinds if text == phrase)
            assert weighed[name].shares.max() == pytest.approx(of_kind[kind], abs=1e-3)


def test_synonyms_are_the_words_for_one_thing(clip, tables) -> None:
    picture = clip.picture_features([drawn(SEED, 0)[0]])[0]
    for rivals in odds.find_rivals(tables, picture, clip.scale):
        for one, other in product(range(0, len(rivals.phrases), 3), range(0, len(rivals.phrases), 5)):
            said = [rivals.phrases[k] for k in (one, other)]
            assert bool(rivals.same[one, other]) == (meaning(said[0]) == meaning(said[1])), said


def meaning(phrase: str) -> frozenset[tuple[str, str]]:
    return frozenset(stated(phrase).items())


def test_each_phrase_says_by_how_much_it_beats_its_list(studio, clip, tables) -> None:
    image, scene = drawn(SEED, 1)
    result = find(studio, image)
    assert result.request.mode == "true"
    assert [finding.phrase for finding in result.findings] == list(result.phrases)
    assert len({finding.group for finding in result.findings}) == len(result.findings) > 2
    weighed = weigh(clip, image, tables)
    for finding in result.findings:
        share = float(weighed[finding.group].shares.max())
        assert finding.times == pytest.approx(share / (1 - share), rel=0.02)
        assert finding.times > 1
        assert is_true(finding.phrase, scene)
    assert result.prompt == ", ".join(result.phrases)
    assert result.curve[-1] == result.similarity


# -- nothing is added where nothing can be told


def test_a_clip_of_random_weights_finds_nothing_sure(clip, tables, tmp_path) -> None:
    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32")
    random = Clip(model, preprocess, open_clip.get_tokenizer("ViT-B-32"), name="random")
    rng = np.random.default_rng(0)
    groups = []
    for group in load_groups(Settings(models_dir=tmp_path), None, ("artists", "flavors", "mediums")):
        chosen = rng.choice(len(group.phrases), 40, replace=False)
        groups.append(PhraseGroup(name=group.name, phrases=tuple(group.phrases[k] for k in chosen)))
    weighed = weigh(random, drawn(SEED, 0)[0], build(groups, random, tmp_path))
    assert max(each.shares.max() for each in weighed.values()) < 0.2


@pytest.mark.parametrize("size", [2, 3, 20])
def test_a_list_of_words_the_clip_never_saw_is_hardly_ever_answered(clip, tables, tmp_path, size) -> None:
    flavors = load_groups(Settings(models_dir=tmp_path), None, ("flavors",))[0].phrases
    own = {word for table in tables for phrase in table.phrases for word in phrase.split()}
    foreign = [phrase for phrase in flavors if not own & set(phrase.split())]
    rng = np.random.default_rng(size)
    answered = 0
    for index in range(8):
        group = PhraseGroup(name="mine", phrases=tuple(rng.choice(foreign, size, replace=False)))
        weighed = weigh(clip, drawn(SEED, index)[0], [*tables, *build([group], clip, tmp_path)])
        answered += weighed["mine"].shares.max() > truth.LIKELY
    assert answered == 0


@pytest.mark.parametrize("radius", [0, 4, 9])
def test_noise_gets_no_phrase_and_the_result_says_why(studio, radius: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    result = find(studio, Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)), "a drawing")
    assert not result.phrases
    assert not result.findings
    assert result.prompt == "a drawing"
    assert "with its tiles shuffled this picture is nearly the same to tiny-clip" in result.notice
    assert not result.stopped


def test_the_embedded_clip_says_that_it_knows_a_small_world_only(studio) -> None:
    assert (
        "tiny-clip knows only the drawings of its own small world" in find(studio, drawn(SEED, 0)[0]).notice
    )


def test_a_list_whose_phrases_say_the_same_is_passed_over_and_named(clip, tables, tmp_path) -> None:
    same = build([PhraseGroup(name="mine", phrases=("a red cat",))], clip, tmp_path)
    image, _ = drawn(SEED, 0)
    encoder = PictureEncoder(clip, clip.picture_features([image])[0], lambda _: None)
    found = truth.find_true(
        clip, encoder, image, [*tables, *same], "", is_written=False, on_list=lambda *_: None
    )
    assert "Skipped, because all its phrases mean the same: mine." in found.notice
    assert "mine" not in {finding.group for finding in found.findings}
    only = truth.find_true(clip, encoder, image, same, "", is_written=False, on_list=lambda *_: None)
    assert only.findings == ()
    assert truth.NOTHING_SURE in only.notice


# -- the caption


def test_what_the_caption_says_already_is_left_out(studio) -> None:
    image, scene = drawn(SEED, 1)
    result = find(studio, image, world.plain_caption(scene))
    assert result.phrases == ()
    assert result.prompt == world.plain_caption(scene)
    assert truth.ALL_SAID in result.notice


def test_where_clip_disagrees_with_the_caption_it_says_so(studio) -> None:
    image, scene = drawn(SEED, 1)
    other = "on the left" if scene.place != "left" else "on the right"
    caption = world.plain_caption(scene).replace(world.PLACE_WORDS[str(scene.place)][0], other)
    result = find(studio, image, caption)
    (against,) = result.disagreements
    assert against.group == "places"
    assert is_true(against.phrase, scene)
    assert meaning(against.against) == meaning(other)
    assert result.prompt == f"{caption}, {against.phrase}"


def test_against_a_written_caption_more_is_asked_for() -> None:
    rivals = odds.Rivals(
        name="animals",
        phrases=("cat", "dog", "cow"),
        logits=np.zeros(3, np.float32),
        same=np.eye(3, dtype=bool),
    )
    says_dog = np.array([0, 9, 0], np.float32)
    for share, written, found in ((0.7, False, True), (0.7, True, False), (0.9, True, True)):
        shares = np.array([share, 1 - share, 0], np.float32)
        weighed = odds.Weighed(
            rivals=rivals, prompts=rivals.phrases, features=np.eye(3, dtype=np.float32), shares=shares
        )
        finding = truth.judge(weighed, says_dog, 1.0, is_written=written)
        assert (finding is not None) == found
        if finding:
            assert (finding.phrase, finding.against) == ("cat", "dog")
    assert truth.judge(weighed, says_dog[[1, 0, 2]], 1.0, is_written=True) is None  # it says cat itself
    half = odds.Weighed(
        rivals=rivals,
        prompts=rivals.phrases,
        features=np.eye(3, dtype=np.float32),
        shares=np.full(3, 0.5, np.float32),
    )
    assert truth.judge(half, None, 1.0, is_written=False) is None


# -- as the other modes


def test_most_phrases_are_the_likeliest_ones(studio) -> None:
    image, _ = drawn(SEED, 1)
    everything = sorted(find(studio, image).findings, key=lambda finding: -finding.times)
    assert set(find(studio, image, max_phrases=2).phrases) == {one.phrase for one in everything[:2]}


@pytest.mark.parametrize("when", ["Comparing alternatives", "Searching"])
def test_a_stop_keeps_what_was_found(studio, when: str) -> None:
    seen: list[InterrogateStep] = []

    def stop(step: InterrogateStep) -> None:
        seen.append(step)
        if step.text == when and (when != "Searching" or step.accepted):
            raise Cancelled

    result = studio.interrogate(InterrogateRequest(image=drawn(SEED, 1)[0], caption="a drawing"), stop)
    assert result.stopped
    assert result.prompt == seen[-1].prompt
    assert len(result.findings) == len(result.phrases) == (when == "Searching")
    weighing = [step for step in seen if step.text == "Comparing alternatives"]
    assert [step.num_steps for step in weighing] == [10] * len(weighing)


class Counting:
    """A text tower whose context holds `room` phrases; a phrase's feature is its own direction."""

    def __init__(self, names: Sequence[str], room: int) -> None:
        self.names, self.room = list(names), room

    def features(self, prefix: str, candidates: Sequence[str]) -> NDArray[np.float32]:
        rows = [np.isin(self.names, search.join(prefix, [text]).split(", ")) for text in candidates]
        return np.array(rows, np.float32)

    def fits(self, prefix: str, candidates: Sequence[str]) -> list[bool]:
        return [len(search.join(prefix, [text]).split(", ")) <= self.room for text in candidates]


@pytest.mark.parametrize("room", [1, 2, 3])
def test_where_the_context_is_short_each_list_is_weighed_with_fewer_others(room: int) -> None:
    names = [f"{kind}{k}" for kind in "abc" for k in range(6)]
    picture = np.arange(18, dtype=np.float32) % 6
    lists = [
        odds.Rivals(
            name=kind,
            phrases=tuple(names[6 * k : 6 * k + 6]),
            logits=picture[6 * k : 6 * k + 6],
            same=np.eye(6, dtype=bool),
        )
        for k, kind in enumerate("abc")
    ]
    weighed = odds.weigh(Counting(names, room), lists, picture, 1.0, lambda *_: None)
    assert [each.rivals.phrases[each.best] for each in weighed] == ["a5", "b5", "c5"]
    for each in weighed:
        assert each.shares.max() == pytest.approx(math.exp(5) / sum(math.exp(k) for k in range(6)))


def test_of_a_short_list_nothing_is_one_more_rival() -> None:
    lists = [
        odds.Rivals(
            name="mine", phrases=("x", "y"), logits=np.array([1, 0], np.float32), same=np.eye(2, dtype=bool)
        )
    ]
    (weighed,) = odds.weigh(
        Counting(["x", "y"], 9), lists, np.array([1, 0], np.float32), 1.0, lambda *_: None
    )
    assert weighed.shares.max() == pytest.approx(math.e / (math.e + 1 + 1))


def test_views_keep_the_picture_but_for_its_place() -> None:
    image, _ = drawn(SEED, 0)
    pixels = np.asarray(image)
    # The first view shows what lay four pixels above, that is the picture moved down, and so on.
    moves = ((4, 0), (-4, 0), (0, 4), (0, -4))  # down, right
    for view, (down, right) in zip(views.shifted(image), moves, strict=True):
        moved = np.roll(pixels, (down, right), axis=(0, 1))
        inner = np.s_[4:-4, 4:-4]
        assert np.array_equal(np.asarray(view)[inner], moved[inner])
    for shuffled in views.shuffled(image):
        assert shuffled.histogram() == image.histogram()
        assert not np.array_equal(np.asarray(shuffled), pixels)
    assert (
        list(views.shifted(Image.new("RGB", (9, 40))))
        == list(views.shuffled(Image.new("RGB", (9, 40))))
        == []
    )
    assert max(next(views.shifted(Image.new("RGB", (5000, 3000)))).size) < 1100


# -- how it is shown


def result_with(findings: tuple[Finding, ...], result: InterrogateResult) -> words.WordsValue:
    found = SearchResults().add(
        replace(result, findings=findings),
        {"file": {"path": "a.png"}, "name": "a.png"},  # type: ignore[typeddict-item]
        "token",
    )
    return words.finished(found)


def test_the_page_says_how_many_times_and_lists_what_the_caption_denies_apart(studio) -> None:
    result = find(studio, drawn(SEED, 1)[0])
    shown = result_with(result.findings, result)
    assert all(step["gain"].endswith("×") and "%" not in step["gain"] for step in shown["steps"])
    assert all("times as likely as the rest of" in step["title"] for step in shown["steps"])
    assert {step["against"] for step in shown["steps"]} == {""}
    first = replace(result.findings[0], times=123456.0, against="a blue dog")
    step = result_with((first, *result.findings[1:]), result)["steps"][0]
    assert (step["gain"], step["against"]) == ("over 1,000×", "a blue dog")
    files = PictureFiles(studio.settings.outputs_dir, shared=False, copies=set())
    assert words.restore(words.note(shown), files) is not None


def test_the_command_says_where_clip_disagrees(tmp_path, capsys) -> None:
    image, scene = drawn(SEED, 1)
    image.save(tmp_path / "a.png")
    other = "on the left" if scene.place != "left" else "on the right"
    caption = world.plain_caption(scene).replace(world.PLACE_WORDS[str(scene.place)][0], other)
    table = tmp_path / "words.csv"
    assert cli.main(["interrogate", str(tmp_path / "a.png"), "--caption", caption, "-o", str(table)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(caption)
    assert "CLIP disagrees with the caption: " in shown.err
    assert "small world" in shown.err
    assert ",true," in table.read_text(encoding="utf-8")
