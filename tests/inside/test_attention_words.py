"""Attention by words: every row belongs to one word, and how far it agrees with the experiment is counted."""

from dataclasses import replace

import numpy as np
import pytest

from sd_app.inside.attention_words import (
    agreement,
    attention_heads,
    attention_words,
    rank_correlation,
    units_of,
)
from sd_app.inside.prompt_words import words_in
from sd_app.inside.word_effects import word_effects
from sd_app.inside.word_panels import brightest
from tests.inside.test_word_effects import ALONE, look_at, with_addons  # noqa: F401 - a fixture

ATTENTION = {"attention": True}


@pytest.mark.parametrize(
    "prompt",
    [
        "a red cat, on the beach",
        "a noise and bozuman",
        "a medium-sized (cat:1.3) {row: dog + 0.5*cat} don't",
        "red, " * 50 + "cat",
        "",
    ],
)
def test_every_row_is_one_words_and_a_place_sums_to_one(with_addons, prompt):  # noqa: F811
    look = look_at(with_addons, replace(ALONE, prompt=prompt), **ATTENTION)
    recording, found = look.recording, words_in(look)
    attention = recording.attention
    assert attention
    for known in (found, None):
        units = units_of(attention.texts[0], known)
        assert sorted(row for _, _, rows in units for row in rows) == list(
            range(len(attention.texts[0].rows))
        )
        assert len({label for label, kind, _ in units if kind != "text"}) == sum(
            kind != "text" for _, kind, _ in units
        )
        for module in attention.modules:
            view = attention_words(recording, known, module=module)
            assert np.allclose(view.maps.sum(axis=0), 1, atol=5e-3)
            assert view.shares.sum() == pytest.approx(1, abs=5e-3)
            heads = attention_heads(recording, known, module=module, third=2)[1]
            assert np.allclose(heads.sum(axis=1), 1, atol=5e-3)


def test_the_default_is_the_finest_up_module_and_the_last_sixty_percent(random_studio):
    look = look_at(random_studio, replace(ALONE, num_inference_steps=5), **ATTENTION)
    attention = look.recording.attention
    assert attention
    view = attention_words(look.recording)
    assert view.module == attention.finest_up
    assert view.calls == (2, 3, 4)
    by_call = [attention_words(look.recording, calls=[call]).maps for call in view.calls]
    assert np.allclose(np.mean(by_call, axis=0), view.maps, atol=1e-3)


def test_words_of_several_tokens_marks_and_padding_have_a_map_each(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt="a medium-sized bozuman"), **ATTENTION)
    view = attention_words(look.recording, words_in(look))
    assert view.labels == ("start mark", "a", "medium-sized", "bozuman", "end mark", "padding")
    assert view.kinds == ("start", "text", "text", "text", "end", "padding")


def test_marks_and_padding_of_several_windows_are_told_apart(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt="a cat BREAK a dog"), **ATTENTION)
    view = attention_words(look.recording, words_in(look))
    assert view.labels == (
        *("start mark 1", "a", "cat", "end mark 1", "padding 1"),
        *("start mark 2", "a (2)", "dog", "end mark 2", "padding 2"),
    )


def test_each_text_that_a_prompt_becomes_has_its_own_view(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt="a [red:blue:0.5] cat"), **ATTENTION)
    found = words_in(look)
    views = [attention_words(look.recording, found, text=number) for number in (0, 1)]
    assert [view.labels[1:4] for view in views] == [("a", "red", "cat"), ("a", "blue", "cat")]
    with pytest.raises(ValueError, match="none of these calls"):
        attention_words(look.recording, found, text=1, calls=[0])


def test_where_attention_was_not_recorded_that_is_said(random_studio):
    with pytest.raises(ValueError, match="attention was not recorded"):
        attention_words(look_at(random_studio, ALONE).recording)


def test_agreement_counts_the_places_in_which_both_name_one_word(random_studio):
    look = look_at(random_studio, ALONE, **ATTENTION)
    found = words_in(look)
    view, effects = attention_words(look.recording, found), word_effects(look, found=found)
    both = agreement(effects, view)
    assert both
    assert both.labels == ("a", "red", "cat", "on", "the", "beach")
    same = 0
    for row in range(view.maps.shape[1]):
        for column in range(view.maps.shape[2]):
            rows, columns = 8 // view.maps.shape[1], 8 // view.maps.shape[2]
            block = effects.maps[:, row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
            by_effect = effects.labels[int(block.mean(axis=(1, 2)).argmax())]
            read = {
                label: view.maps[number, row, column]
                for number, label in enumerate(view.labels)
                if label in both.labels
            }
            same += by_effect == max(read, key=lambda label: read[label])
    assert both.same.sum() == same
    assert both.sentence == f"Attention agreed with the experiment in {same} of {both.same.size} places."
    assert 0 <= both.chance <= 1


def test_a_view_agrees_with_itself_everywhere(random_studio):
    look = look_at(random_studio, ALONE, **ATTENTION)
    found = words_in(look)
    effects = word_effects(look, found=found)
    view = attention_words(look.recording, found)
    numbers = [view.labels.index(label) for label in effects.labels]
    maps = np.zeros_like(view.maps)
    side = view.maps.shape[1]
    maps[numbers] = effects.maps.reshape(len(numbers), side, 8 // side, side, 8 // side).mean(axis=(2, 4))
    both = agreement(effects, replace(view, maps=maps))
    assert both
    assert both.same.all()
    assert both.order == pytest.approx(1)


def test_without_words_in_common_nothing_is_claimed(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt=", ,"), **ATTENTION)
    assert agreement(word_effects(look), attention_words(look.recording, words_in(look))) is None


def test_the_rank_correlation_is_of_orders_alone():
    a = np.array([1.0, 2, 3, 100], np.float32)
    assert rank_correlation(a, a**2) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert np.isnan(rank_correlation(a[:2], a[:2]))


def test_the_scale_is_that_of_the_texts_words_and_of_the_marks_where_there_is_no_text(with_addons):  # noqa: F811
    recording = look_at(with_addons, ALONE, **ATTENTION).recording
    view = attention_words(recording)
    marks = [number for number, kind in enumerate(view.kinds) if kind != "text"]
    words = [number for number, kind in enumerate(view.kinds) if kind == "text"]
    maps = view.maps.copy()
    maps[marks[0], 0, 0] = maps.max() + 1  # the start mark has most of the attention
    assert brightest(replace(view, maps=maps)) == pytest.approx(maps[words].max())
    bare = replace(view, maps=maps, kinds=("start",) * len(view.kinds))
    assert brightest(bare) == pytest.approx(maps.max())
