"""Memory that runs out in CLIP or the captioner: other models make room, and the work is done again."""

from collections.abc import Callable

import pytest
import torch

from sd_app import InterrogateRequest, MatchRequest, Settings, Studio, Txt2ImgRequest
from sd_app.interrogator.captioner import Captioner
from sd_app.interrogator.clip import Clip
from sd_app.interrogator.interrogation import AGAIN
from tests.interrogating import held_out
from tests.memory.test_words import Failing

PICTURE = held_out(0)[0]
WORDS = r"tiny-clip ran out of the memory of cpu \(choose a smaller clip_model, or close other programs\)"


@pytest.fixture
def filled(random_models, tmp_path) -> Studio:
    """A studio with a checkpoint in memory."""
    studio = Studio(
        Settings(
            models_dir=random_models, model="model-a", outputs_dir=tmp_path, device="cpu", cache_dir=tmp_path
        )
    )
    studio.txt2img(Txt2ImgRequest(prompt="a", num_inference_steps=1), save=False)
    return studio


def failing(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, times: int) -> None:
    """Have a method run out of memory so many times."""
    error = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    fail, method = Failing(error, times), getattr(owner, name)

    def run(*args, **kwargs):
        fail()
        return method(*args, **kwargs)

    monkeypatch.setattr(owner, name, run)


def search(studio: Studio, told: list[str] | None = None) -> object:
    request = InterrogateRequest(image=PICTURE, mode="fast", max_phrases=2)
    return studio.interrogate(
        request, lambda step: told.append(step.text) if told is not None else None
    ).prompt


def match(studio: Studio) -> object:
    return studio.match(MatchRequest(images=[PICTURE], texts=["a cat"])).cosines


def compare(studio: Studio) -> object:
    return studio.compare_pictures(PICTURE, [PICTURE, held_out(1)[0]])


@pytest.mark.parametrize("work", [search, match, compare])
def test_other_models_make_room_and_the_work_is_done_again(
    filled, monkeypatch, work: Callable[[Studio], object]
):
    expected = work(filled)
    filled.txt2img(Txt2ImgRequest(prompt="a", num_inference_steps=1), save=False)
    assert "model-a" in filled.status().loaded
    failing(monkeypatch, Clip, "picture_features", 1)
    assert work(filled) == expected
    assert filled.status().loaded == ("CLIP tiny-clip",)
    monkeypatch.undo()
    failing(monkeypatch, Clip, "picture_features", 2)
    with pytest.raises(MemoryError, match=WORDS):
        work(filled)
    monkeypatch.undo()
    assert work(filled) == expected


def test_so_they_do_for_the_captioner_and_in_the_middle_of_a_search(filled, monkeypatch):
    from sd_app.interrogator import modes

    expected = search(filled)
    failing(monkeypatch, Captioner, "caption", 1)
    told: list[str] = []
    assert search(filled, told) == expected
    assert told.count(AGAIN) == 1
    monkeypatch.undo()
    fail, rank = Failing(torch.OutOfMemoryError("CUDA out of memory"), 1), modes.rank

    def ranked(*args):
        ranking = rank(*args)
        fail()
        return ranking

    monkeypatch.setattr(modes, "rank", ranked)
    told.clear()
    assert search(filled, told) == expected
    assert told.count(AGAIN) == 1


def test_scoring_phrases_makes_room_too(filled, monkeypatch):
    result = filled.interrogate(InterrogateRequest(image=PICTURE, mode="fast", max_phrases=2))
    filled.txt2img(Txt2ImgRequest(prompt="a", num_inference_steps=1), save=False)
    failing(monkeypatch, Clip, "text_features", 1)
    score = filled.score_phrases(result, range(len(result.phrases)))
    assert score.similarity == pytest.approx(result.similarity, abs=1e-5)
    assert filled.status().loaded == ("CLIP tiny-clip",)
