"""The searches against brute force, on the embedded CLIP and on features made up for a case."""

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray

from sd_app.interrogator import modes, search
from sd_app.interrogator.clip import Clip, PictureEncoder, load_clip
from sd_app.interrogator.models import find_clip
from sd_app.interrogator.phrases import read_phrases
from sd_app.interrogator.search import Chain
from sd_app.requests import Cancelled, InterrogateRequest
from sd_app.settings import EMBEDDED_DIR, Settings
from tests.interrogating import held_out

ROOT = Path(__file__).resolve().parent.parent
PHRASES = read_phrases(EMBEDDED_DIR / "tiny-clip" / "phrases" / "things.txt")[:200]


class Table:
    """An encoder by a table: the cosine of a prompt is the sum of its phrases' worth, or as given."""

    def __init__(self, worth: dict[str, float], limit: int = 100) -> None:
        self.worth, self.limit = worth, limit

    def _value(self, prompt: str) -> float:
        return self.worth.get(prompt) or sum(self.worth.get(part, 0.0) for part in prompt.split(", "))

    def cosines(self, prefix: str, candidates: Sequence[str]) -> NDArray[np.floating]:
        return np.array([self._value(search.join(prefix, [text])) for text in candidates])

    def fits(self, prefix: str, candidates: Sequence[str]) -> list[bool]:
        return [len(search.join(prefix, [text]).split(", ")) <= self.limit for text in candidates]


def ignore(_: Chain) -> None:
    return None


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip(find_clip(Settings(), None), torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def picture(clip: Clip) -> NDArray[np.float32]:
    return clip.picture_features([held_out(3)[0]])[0]


@pytest.fixture(scope="module")
def encoder(clip: Clip, picture: NDArray[np.float32]) -> PictureEncoder:
    return PictureEncoder(clip, picture, lambda _: None)


def by_hand(clip: Clip, picture: NDArray[np.float32], prompts: list[str]) -> NDArray[np.float32]:
    """Return the prompts' cosines by open_clip's own encode_text, padded to 77."""
    with torch.no_grad():
        features = clip.model.encode_text(open_clip.tokenizer.tokenize(prompts))
        return (features / features.norm(dim=-1, keepdim=True)).numpy() @ picture


@pytest.mark.parametrize("sign", [1, -1])
def test_greedy_is_what_trying_every_phrase_in_every_round_gives(clip, picture, encoder, sign: int) -> None:
    base = "a drawing"
    chain = search.greedy(
        encoder, search.start(encoder, base), PHRASES, min_phrases=0, max_phrases=4, on_best=ignore, sign=sign
    )
    prompt, best, left = base, by_hand(clip, picture, [base])[0], list(PHRASES)
    curve = [best]
    for _ in range(4):
        cosines = by_hand(clip, picture, [f"{prompt}, {phrase}" for phrase in left])
        index = int((sign * cosines).argmax())
        if sign * cosines[index] <= sign * best:
            break
        best, prompt = cosines[index], f"{prompt}, {left.pop(index)}"
        curve.append(best)
    assert chain.prompt == prompt
    assert len(curve) > 2
    assert np.allclose(np.array(chain.cosines, float), curve, atol=1e-5)


@pytest.mark.parametrize("mode", ["best", "fast", "classic", "negative", "deep"])
def test_the_reported_cosine_is_that_of_the_final_string(studio, clip, picture, mode: str) -> None:
    image, _ = held_out(3)
    result = studio.interrogate(InterrogateRequest(image=image, mode=mode, caption="a drawing"))
    assert result.similarity == pytest.approx(by_hand(clip, picture, [result.prompt])[0], abs=1e-4)
    assert result.prompt == ", ".join([*([result.caption] if result.caption else []), *result.phrases])
    assert result.steps[-1].cosine == result.similarity == result.curve[-1]
    assert clip.tower.count_tokens(result.prompt) <= 77


@pytest.mark.parametrize("index", range(3))
def test_best_and_deep_never_fall_and_deep_ends_no_lower(studio, index: int) -> None:
    image, _ = held_out(index)
    best, deep = (
        studio.interrogate(InterrogateRequest(image=image, mode=mode, caption="", max_phrases=8))
        for mode in ("best", "deep")
    )
    for result in (best, deep):
        assert all(left < right for left, right in pairwise(result.curve))
        assert all(step.gain > 0 for step in result.steps)
    assert deep.similarity >= best.similarity


def test_negative_strictly_decreases_and_goes_on_beyond_one_phrase(studio) -> None:
    result = studio.interrogate(InterrogateRequest(image=held_out(1)[0], mode="negative"))
    assert len(result.steps) >= 3
    assert all(left > right for left, right in pairwise(result.curve))
    assert result.similarity < 0
    assert result.caption == ""


def test_a_phrase_that_loses_is_joined_with_the_one_that_makes_up_for_it() -> None:
    worth = {"base": 0.2, "base, a": 0.19, "base, b": 0.1, "base, a, b": 0.3}
    encoder = Table(worth)
    start = search.start(encoder, "base")
    chain = search.greedy(encoder, start, ["a", "b"], min_phrases=2, max_phrases=2, on_best=ignore)
    assert [step.phrases for step in chain.steps()] == [("a", "b")]
    assert chain.steps()[0].gain == pytest.approx(0.1)
    impatient = search.greedy(encoder, start, ["a", "b"], min_phrases=0, max_phrases=2, on_best=ignore)
    assert impatient.prompt == "base"


def test_drop_and_swap_finds_what_greedy_cannot() -> None:
    worth = {"a": 0.30, "b": 0.1, "c": 0.1, "a, b": 0.31, "a, c": 0.31, "b, a": 0.2, "c, a": 0.2}
    encoder = Table(worth | {"b, c": 0.5, "c, b": 0.4})
    greedy = search.greedy(
        encoder, Chain(base=""), ["a", "b", "c"], min_phrases=0, max_phrases=2, on_best=ignore
    )
    assert greedy.prompt == "a, b"
    assert search.drop_and_swap(encoder, greedy, ["a", "b", "c"], on_best=ignore).prompt == "c, b"
    dropped = search.drop_and_swap(
        Table({"x": 0.5, "y": -0.1}), search.measure(Table({"x": 0.5, "y": -0.1}), "", ["y", "x"], None), [],
        on_best=ignore,
    )  # fmt: skip
    assert dropped.prompt == "x"


def test_a_beam_of_two_finds_what_one_chain_misses() -> None:
    worth = {"a": 0.30, "b": 0.29, "a, b": 0.31, "b, a": 0.31, "b, c": 0.9, "a, c": 0.3, "c, a": 0.3}
    encoder = Table(worth | {"c": 0.1, "c, b": 0.1})
    for width, prompt in ((1, "a, b"), (2, "b, c")):
        chain = search.beam_search(
            encoder, Chain(base=""), ["a", "b", "c"], width=width, max_phrases=2, on_best=ignore
        )
        assert chain.prompt == prompt


def test_the_prompt_ends_where_the_context_does() -> None:
    worth = dict.fromkeys("abcdef", 0.1)
    chain = search.greedy(
        Table(worth, limit=3), Chain(base=""), list(worth), min_phrases=9, max_phrases=9, on_best=ignore
    )
    assert chain.phrases == ("a", "b", "c")


def test_equal_phrases_are_taken_in_their_order() -> None:
    assert search.top_indices(np.array([0.1, 0.3, 0.3, 0.2]), 3).tolist() == [1, 2, 3]
    assert search.top_indices(np.array([0.1, 0.3, 0.1]), 2, -1).tolist() == [0, 2]


def test_the_top_phrases_are_the_true_ones_without_doubles() -> None:
    from sd_app.interrogator.tables import PhraseTable

    rng = np.random.default_rng(1)
    tables = [
        PhraseTable(name=name, phrases=tuple(f"p{k % 900}" for k in order), shards=())
        for name, order in (("one", range(900)), ("two", rng.permutation(900)))
    ]
    cosines = tuple(
        np.array([int(p[1:]) * 7919 % 900 / 900 for p in table.phrases], np.float32) for table in tables
    )
    top = modes.Ranking(tables=tuple(tables), cosines=cosines).top(100)
    truth = sorted(tables[0].phrases, key=lambda p: -(int(p[1:]) * 7919 % 900))
    assert top == truth[:100]


@pytest.mark.parametrize("mode", ["best", "deep", "negative"])
def test_stopping_anywhere_gives_the_best_so_far(studio, clip, picture, mode: str) -> None:
    image, _ = held_out(3)
    seen = []

    def stop(step) -> None:
        seen.append(step)
        if len(step.accepted) == 3:
            raise Cancelled

    request = InterrogateRequest(image=image, mode=mode, caption="")
    result = studio.interrogate(request, stop)
    assert result.stopped
    assert len(result.steps) == 3
    assert (result.prompt, result.similarity) == (seen[-1].prompt, seen[-1].cosine)
    assert result.similarity == pytest.approx(by_hand(clip, picture, [result.prompt])[0], abs=1e-4)
    assert not studio.interrogate(request).stopped


def test_each_accepted_phrase_is_told_as_it_happens(studio) -> None:
    steps: list = []
    request = InterrogateRequest(image=held_out(3)[0], mode="best", caption="a drawing")
    result = studio.interrogate(request, steps.append)
    told = list(dict.fromkeys(step.accepted for step in steps))
    assert [len(accepted) for accepted in told[:4]] == [0, 1, 2, 3]
    assert told[-1] == result.steps
    cosines = [accepted[-1].cosine for accepted in told if accepted]
    assert cosines == sorted(set(cosines))
    assert [step.step for step in steps if step.text == "Searching"][-1] == len(result.phrases)
    assert {step.text for step in steps} >= {"Looking at the picture", "Reading phrases", "Searching"}


def test_the_prompt_does_not_depend_on_the_hash_seed(studio) -> None:
    """This process has a random hash seed, unless it was told otherwise."""
    assert os.environ.get("PYTHONHASHSEED") != "1"
    code = (
        "from tests.test_search import prompts; from sd_app import Studio, Settings\n"
        "print(prompts(Studio(Settings(device='cpu'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )  # fmt: skip
    assert done.stdout.strip() == str(prompts(studio))


def prompts(studio) -> list[str]:
    """Return one picture's prompts in all modes that chain."""
    requests = [
        InterrogateRequest(image=held_out(2)[0], mode=mode, caption="", max_phrases=3)
        for mode in ("best", "deep", "negative")
    ]
    return [studio.interrogate(request).prompt for request in requests]


def test_everything_is_better_than_nothing_and_nothing_is_better_than_nothing() -> None:
    nothing, low, high = (Chain(base="", cosines=(cosine,)) for cosine in (None, 0.1, 0.3))
    assert [search.is_better(a, b) for a, b in ((nothing, nothing), (nothing, low), (low, nothing))] == [
        False,
        False,
        True,
    ]
    assert [search.is_better(high, low, sign) for sign in (1, -1)] == [True, False]
    assert not search.is_better(low, low)
