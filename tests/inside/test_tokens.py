"""How the words were cut: the rows are those that were read; a file without a recording shows its words."""

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from sd_app import InsideRequest, Settings, Studio
from sd_app.inside.look import Look
from sd_app.inside.tokens import (
    CHANGED,
    EMPTY_FILE,
    NO_WORDS_IN_FILE,
    NOT_GUIDED,
    RECORDED_ALONE,
    CutText,
    cut_prompts,
)
from sd_app.inside.tokens_panel import about, make_tokens, said_of, table
from sd_app.probes.recording import Recording
from tests.inside.test_word_effects import ALONE, look_at, with_addons  # noqa: F401 - a fixture
from tests.photos import take_photo
from tests.test_foreign_pictures import FOLDER

PROMPTS = {
    "plain": "a red cat, on the beach",
    "weights": "a medium-sized (cat:1.3) [dog]",
    "windows": "red, " * 50 + "cat",
    "break": "a cat BREAK a dog",
    "changing": "[cat:dog:0.5] in snow",
    "joined": "a cat AND a dog:0.7",
    "slot": "a {row: cat + 0.43*tabby} here",
    "learned": "a noise and bozuman",
    "empty": "",
}


def pieces(text: CutText) -> list[str]:
    return [row.text for row in text.rows if row.kind == "text"]


@pytest.fixture(scope="module")
def looks(with_addons: Studio) -> dict[str, Look]:  # noqa: F811
    return {
        name: look_at(with_addons, replace(ALONE, prompt=text), attention=True)
        for name, text in PROMPTS.items()
    }


@pytest.mark.parametrize("name", PROMPTS)
def test_the_rows_are_those_that_were_recorded_and_the_negative_prompts_beside_them(looks, with_addons, name):  # noqa: F811
    look = looks[name]
    attention = look.recording.attention
    assert attention
    cut = cut_prompts(look)
    assert CHANGED not in cut.said
    texts = [text for text in cut.texts if not text.negative]
    assert {(text.text, text.weight, text.rows) for text in texts} == {
        (text.text, text.weight, text.rows) for text in attention.texts
    }
    assert sum(row.count for row in texts[0].rows) == 77 * texts[0].num_windows
    calls = {text.text: text.calls for text in attention.texts}
    for text in texts if len(texts) > 1 else ():
        steps = [step for first, last in text.steps for step in range(first, last + 1)]
        assert steps == [call + 1 for call in calls[text.text]]
    [negative] = [text for text in cut.texts if text.negative]
    assert pieces(negative) == ["blue"]
    assert negative.num_windows == texts[0].num_windows
    # Cut from the film alone, without attention's rows, it is the same.
    bare = replace(look.recording, attention=None)
    assert cut_prompts(with_addons.look(bare)).texts == cut.texts


def test_tokens_are_the_tokenizers_and_pieces_of_a_word_know_each_other(looks, random_studio):
    cut = cut_prompts(looks["weights"])
    text = cut.texts[0]
    said = {text.rows[index].text: about(text, index) for index in range(len(text.rows))}
    tokenizer = random_studio._ready_manager().tokenizer("model-a")
    for row, token in zip(text.rows, text.tokens, strict=True):
        assert token
        if row.kind == "text":
            assert tokenizer.decode([token.id]).strip() == row.text
    cat = next(token.id for token in text.tokens if token and token.text == "cat")
    assert f"token {cat}, a whole word" in said["cat"]
    assert "weight 1.3" in said["cat"]
    assert "weight 0.9091" in said["dog"]
    assert "medium" in pieces(text)


def test_words_of_several_tokens_learned_words_and_slots_are_named(looks):
    cut = cut_prompts(looks["learned"])
    text = cut.texts[0]
    vectors = [about(text, index) for index, token in enumerate(text.tokens) if token and token.learned]
    assert [words.split(",")[0] for words in vectors] == [
        f"“noise”: vector {number} of 3 of a learned word" for number in (1, 2, 3)
    ]
    split = cut.split_words
    assert len(split) == 1
    assert split[0].startswith("bozuman (")
    whole = split[0].partition("(")[2].rstrip(")").split("·")
    assert "".join(whole) == "bozuman"
    assert len(whole) > 1
    [slots] = [text.slots for text in cut_prompts(looks["slot"]).texts if text.slots]
    assert set(slots.values()) == {"{row: cat + 0.43*tabby}"}
    text = cut_prompts(looks["slot"]).texts[0]
    assert [text.rows[row].text for row in slots] == ["cat"]


def test_the_table_has_every_row_and_the_files_are_a_sheet_and_it(looks, with_addons):  # noqa: F811
    shown = with_addons.look_files(looks["windows"], "tokens")
    assert set(shown.files) == {"tokens-sheet.png", "tokens-rows.csv"}
    rows = list(csv.DictReader(io.StringIO(shown.files["tokens-rows.csv"].decode())))
    cut = cut_prompts(looks["windows"])
    assert len(rows) == sum(len(text.rows) for text in cut.texts)
    assert sum(int(row["rows"]) for row in rows if row["prompt"] == "prompt") == 77 * 2
    assert [row["piece"] for row in rows if row["prompt"] == "negative" and row["kind"] == "text"] == ["blue"]
    assert "101 tokens in 2 windows of 75, and 49 rows of padding." in shown.said[1]
    assert Image.open(io.BytesIO(shown.files["tokens-sheet.png"])).width > 900
    assert cut_prompts(looks["empty"]).texts[0].num_padding == 75
    assert "no words, only marks and 75 rows of padding" in said_of(cut_prompts(looks["empty"]))[1]


def test_nothing_is_run_for_the_page_and_what_a_press_says_is_there(looks, with_addons, monkeypatch):  # noqa: F811
    monkeypatch.setattr(Look, "pipe", None)  # lending the model would fail
    facts = {panel.name: panel for panel in with_addons.look_facts(looks["plain"]).panels}
    assert facts["tokens"].running == ()
    assert list(facts).index("tokens") == list(facts).index("words") - 1
    numbers: Any = with_addons.look_answer(looks["plain"], "tokens", "begin", {}).numbers
    cut = cut_prompts(looks["plain"])
    [window] = numbers["texts"][0]["windows"]
    assert [one["about"] for one in window] == [about(cut.texts[0], row) for row in range(len(window))]
    assert [one["number"] for one in window] == [token.id for token in cut.texts[0].tokens if token]


def test_a_negative_prompt_that_was_not_read_is_said_to_be_so(with_addons):  # noqa: F811
    look = look_at(with_addons, replace(ALONE, guidance_scale=1.0, negative_prompt="blue, " * 50))
    cut = cut_prompts(look)
    assert NOT_GUIDED in cut.said
    assert [text.negative for text in cut.texts] == [False]
    assert cut.texts[0].num_windows == 1


def test_without_the_model_a_recording_shows_what_it_holds(looks, with_addons, tmp_path):  # noqa: F811
    elsewhere = Studio(Settings(models_dir=tmp_path, cache_dir=tmp_path, outputs_dir=tmp_path))
    recording: Recording = looks["changing"].recording
    cut = cut_prompts(elsewhere.look(recording))
    assert cut.said == (RECORDED_ALONE,)
    here = [text for text in cut_prompts(looks["changing"]).texts if not text.negative]
    assert [(text.rows, text.steps) for text in cut.texts] == [(text.rows, text.steps) for text in here]
    assert about(cut.texts[0], 1) == "“cat”: a whole word, row 1."
    assert make_tokens(elsewhere.look(recording)).pictures
    with pytest.raises(ValueError, match="model must be one of"):
        cut_prompts(elsewhere.look(replace(recording, attention=None)))


def test_a_learned_word_that_has_changed_since_does_not_change_what_was_read(looks, with_addons, tmp_path):  # noqa: F811
    (tmp_path / "model-a").symlink_to(with_addons.settings.models_dir / "model-a")
    other = Studio(replace(with_addons.settings, models_dir=tmp_path, cache_dir=tmp_path))
    recording = looks["learned"].recording
    cut = cut_prompts(other.look(recording))
    assert CHANGED in cut.said
    assert cut.texts[0].rows == recording.attention.texts[0].rows
    assert table(cut)[2][9] == ""  # the token's number


# -- of a file that cannot be recorded


def with_text(path: Path, text: str) -> Path:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", text)
    Image.new("RGB", (64, 64), "blue").save(path, pnginfo=info)
    return path


@pytest.mark.parametrize(
    ("text", "sentence", "prompt", "negative"),
    [
        (
            "a (red:1.2) cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Seed: 5, Model: dreamshaper",
            "Cut as model-a reads it; the picture was made by another program with the model dreamshaper,"
            " which is not here.",
            ["a", "red", "cat"],
            ["dog"],
        ),
        (
            "a cat\nSteps: 20, Seed: 5, Denoising strength: 0.5",
            "Cut as model-a reads it; the picture was made by another program, and its file names no model.",
            ["a", "cat"],
            [],
        ),
        (
            "a cat\nSteps: 20, Seed: 5, Model: model-b, Denoising strength: 0.5",
            "Cut as model-b reads it; the picture was made by another program with this model.",
            ["a", "cat"],
            [],
        ),
    ],
)
def test_words_of_a_file_that_cannot_be_recorded_are_cut_and_by_what_is_said(
    random_studio, tmp_path, text, sentence, prompt, negative
):
    path = with_text(tmp_path / "other.png", text)
    alone = random_studio.look_at_picture(path, "Not here.")
    facts = {panel.name: panel.why_not for panel in random_studio.look_facts(alone).panels}
    assert (facts["tokens"], facts["vae"], facts["words"]) == ("", "", "Not here.")
    cut = cut_prompts(alone)
    assert cut.sentence == sentence
    assert [pieces(one) for one in cut.texts] == [prompt, negative]
    assert [one.negative for one in cut.texts] == [False, True]
    result = random_studio.inside(InsideRequest(picture=path, panels=("tokens",)))
    assert result.is_identical is None
    assert result.panels[0].said[0] == sentence
    assert set(result.panels[0].files) == {"tokens-sheet.png", "tokens-rows.csv"}


def test_another_programs_picture_is_cut_and_named(random_studio, tmp_path):
    path = Path(shutil.copy(FOLDER / "comfy.png", tmp_path))
    cut = cut_prompts(random_studio.look_at_picture(path, "Not here."))
    assert "made by ComfyUI" in cut.sentence
    assert pieces(cut.texts[0]) == ["an", "orange", "cat"]


def test_a_file_without_words_says_so(random_studio, tmp_path):
    photo = take_photo(tmp_path / "photo.jpg", 60, 60)
    empty = with_text(tmp_path / "empty.png", "\nSteps: 20, Seed: 5, Denoising strength: 0.5")
    broken = with_text(tmp_path / "broken.png", "a {cat + } dog\nSteps: 20, Seed: 5, Denoising strength: 0.5")
    for path, expected in ((photo, NO_WORDS_IN_FILE), (empty, EMPTY_FILE)):
        alone = random_studio.look_at_picture(path, "Not here.")
        facts = {panel.name: panel.why_not for panel in random_studio.look_facts(alone).panels}
        assert facts["tokens"] == expected
        assert random_studio.look_files(alone, "tokens").why_not == expected
        with pytest.raises(ValueError, match="no words in this file"):
            random_studio.look_answer(alone, "tokens", "begin", {})
    assert random_studio.look_facts(random_studio.look_at_picture(broken, "Not here."))
    nobody = random_studio.look_at_picture(Image.new("RGB", (64, 64)), "Not here.")
    assert random_studio.look_files(nobody, "tokens").why_not == NO_WORDS_IN_FILE
