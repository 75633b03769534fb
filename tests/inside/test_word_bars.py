"""That the views of words are true on the embedded model: against the judge, and against real runs.

The figures of the whole fixed set are `-m slow`; tests/benchmarks/inside_words.py prints them.
"""

from collections.abc import Sequence

import numpy as np
import pytest

from sd_app import Settings, Studio
from tests.inside_words import (
    SIMPLE,
    Rerun,
    Seen,
    attention_ratio,
    cases,
    function_ratio,
    look_at,
    named_at_centre,
    named_outside,
    run_without,
)


def share(hits: Sequence[bool]) -> float:
    return float(np.mean(hits))


@pytest.fixture(scope="module")
def wide_studio() -> Studio:
    return Studio(Settings(device="cpu", batch_size=16))


@pytest.fixture(scope="module")
def judge():
    from sd_app.tiny.judge import load_judge

    return load_judge()


@pytest.fixture(scope="module")
def few(wide_studio, judge) -> list[Seen]:
    """Four of each kind, of another draw than the fixed set's."""
    return list(look_at(wide_studio, cases(4, seed=7), judge))


@pytest.fixture(scope="module")
def everything(wide_studio, judge) -> list[Seen]:
    return list(look_at(wide_studio, cases(), judge))


@pytest.fixture(scope="module")
def runs(everything, judge) -> list[Rerun]:
    return [run_without(seen, judge) for seen in everything]


def test_the_background_word_owns_the_background_and_the_subject_itself(few):
    assert share([named_outside(seen) == "background" for seen in few]) >= 7 / 8
    assert share([named_at_centre(seen) in ("subject", "color") for seen in few]) >= 7 / 8


def test_attention_lies_on_subject_and_colour_more_than_on_the_words_behind_them(few):
    for part in ("subject", "color"):
        ratios = [attention_ratio(seen, part) for seen in few]
        assert share([ratio >= 2 for ratio in ratios]) >= 7 / 8
        above = [ratio / function_ratio(seen) for ratio, seen in zip(ratios, few, strict=True)]
        assert np.nanmedian(above) >= 1.5


def test_what_is_foretold_of_words_is_what_a_run_without_them_does(few, judge):
    run = run_without(next(seen for seen in few if seen.case.kind == SIMPLE), judge)
    assert run.same_word >= 0.6
    assert run.order >= 0.6
    assert run.attention_same_word < run.same_word


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_on_the_fixed_set_the_effects_name_what_is_there(everything):
    assert share([named_outside(seen) == "background" for seen in everything]) >= 0.95
    assert share([named_at_centre(seen) in ("subject", "color") for seen in everything]) >= 0.90


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", ["subject", "color"])
def test_on_the_fixed_set_attention_lies_on_subject_and_colour(everything, part):
    ratios = [attention_ratio(seen, part) for seen in everything]
    assert share([ratio >= 2 for ratio in ratios]) >= 0.95
    above = [ratio / function_ratio(seen) for ratio, seen in zip(ratios, everything, strict=True)]
    assert share([ratio >= 1.5 for ratio in above if not np.isnan(ratio)]) >= 0.85


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_on_the_fixed_set_the_effects_foretell_the_runs(runs):
    assert np.mean([run.same_word for run in runs]) >= 0.75
    assert np.mean([run.order for run in runs]) >= 0.85


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("part", "least"), [("subject", 0.85), ("color", 0.85), ("background", 0.75)])
def test_on_the_fixed_set_a_word_taken_out_changes_its_own_attribute_and_no_other(runs, part, least):
    changed = [run.changed(part) for run in runs]
    assert share([own for own, _ in changed]) >= least
    assert share([other for _, others in changed for other in others]) <= 0.05
