"""The panels of words and guidance as files: readable, complete, and of every kind of run or said why not."""

from dataclasses import replace

import numpy as np
import pytest

from sd_app import Img2ImgRequest, InpaintRequest, Studio
from sd_app.inside import guidance_panels, word_panels
from sd_app.inside.look import Look
from sd_app.inside.panel import APPROXIMATE, EXACT, MEASURED
from sd_app.inside.panels import PANELS
from tests.conftest import make_checkpoint
from tests.inside.test_word_effects import ALONE, look_at
from tests.test_denoise import MASK, PICTURE
from tests.test_observers import RUN, open_studio

OURS = (*word_panels.PANELS, *guidance_panels.PANELS)


def test_every_panel_is_listed_and_says_what_is_seen_and_what_is_not():
    assert [panel for panel in PANELS if panel in OURS] == list(OURS)
    for panel in OURS:
        assert panel.seen.count(". ") + panel.seen.count(": ") >= 1
        assert panel.not_shown.startswith("It does not show")
        assert panel.formula
        assert panel.exactness in (EXACT, MEASURED, APPROXIMATE)


@pytest.mark.parametrize("panel", OURS, ids=lambda panel: panel.name)
@pytest.mark.parametrize("kind", ["txt2img", "img2img", "inpaint", "xl"])
def test_a_panel_makes_its_files_of_every_kind_of_run(sdxl_models, random_models, tmp_path, panel, kind):
    folder, model = (sdxl_models, "xl") if kind == "xl" else (random_models, "model-a")
    studio = open_studio(folder, model, tmp_path)
    run = {"prompt": "a (red:1.2) cat", "negative_prompt": "blue", **RUN | {"num_inference_steps": 3}}
    asked = replace(ALONE, **run)
    if kind == "img2img":
        asked = Img2ImgRequest(init_image=PICTURE, strength=0.8, **run)
    if kind == "inpaint":
        asked = InpaintRequest(init_image=PICTURE, mask_image=MASK, **run)
    look = look_at(studio, asked, attention=True)
    assert panel.why_not(look.recording) == ""
    files = panel.make(look)
    assert files.pictures
    for picture in files.pictures.values():
        assert picture.mode == "RGB"
        assert min(picture.size) >= 100
        assert len(np.unique(np.asarray(picture))) > 10
    for table in files.tables.values():
        assert len({len(row) for row in table}) == 1
        assert len(table) > 1
    assert all(array.size for array in files.arrays.values())
    assert all(sentence.endswith(".") for sentence in files.said)


@pytest.mark.parametrize("prompt", ["", ", ."])
def test_without_words_the_panels_of_words_say_so(random_studio, prompt):
    look = look_at(random_studio, replace(ALONE, prompt=prompt), attention=True)
    for panel in word_panels.PANELS[:2]:
        if prompt:
            with pytest.raises(ValueError, match="no word that could be taken out"):
                panel.make(look)
        else:
            assert panel.why_not(look.recording) == word_panels.EMPTY
    kept = word_panels.make_kept(look)
    if not prompt:
        assert [one for one in kept.said if "not shown, since at least one row must stay open" in one]


def test_prompts_that_change_have_a_view_of_attention_for_each_text(random_studio):
    look = look_at(random_studio, replace(ALONE, prompt="a [red:blue:0.5] cat"), attention=True)
    files = word_panels.make_attention(look)
    assert {"attention", "attention_2", "agreement"} <= set(files.pictures)
    assert files.tables["shares_2"][0][2:6] == ["start mark", "a", "blue", "cat"]


def test_attention_is_shown_without_the_model_and_nothing_else_is_claimed(random_studio, tmp_path):
    recording = look_at(random_studio, ALONE, attention=True).recording
    empty = open_studio(tmp_path / "none", "model-a", tmp_path / "out")
    look = Look(empty._ready_manager(), replace(recording, request=replace(recording.request, model="gone")))
    files = word_panels.make_attention(look)
    assert "agreement" not in files.pictures
    assert "attention" in files.pictures
    with pytest.raises(ValueError, match="gone"):
        word_panels.make_words(look)


def test_what_was_not_recorded_or_not_run_is_said(random_studio, tmp_path):
    plain = look_at(random_studio, replace(ALONE, guidance_scale=1.0)).recording
    reasons = {panel.name: panel.why_not(plain) for panel in OURS}
    assert reasons["attention"] == word_panels.NO_ATTENTION
    assert reasons["guidance"].endswith("the model runs with the prompt alone.")
    assert reasons["words"] == reasons["kept"] == reasons["sweep"] == ""
    make_checkpoint(tmp_path / "lcm", seed=4, time_cond_proj_dim=16)
    inside = look_at(open_studio(tmp_path, "lcm", tmp_path / "out"), ALONE).recording
    reasons = {panel.name: panel.why_not(inside) for panel in OURS}
    assert "inside this model" in reasons["guidance"]
    assert "inside this model" in reasons["sweep"]


def test_at_guidance_zero_the_prompt_counts_nowhere(random_studio):
    files = guidance_panels.make_guidance(look_at(random_studio, replace(ALONE, guidance_scale=0.0)))
    assert "At guidance 0 the prompt does not count at any step." in files.said
    assert "taken_away" not in files.pictures


def test_on_the_embedded_model_the_numbers_are_those_of_the_maps(studio: Studio):
    asked = replace(ALONE, prompt="an orange cat on the beach", negative_prompt="", width=128, height=128)
    look = look_at(studio, replace(asked, num_inference_steps=12), attention=True)
    files = word_panels.make_words(look)
    effects = word_panels.effects_of(look)
    assert word_panels.effects_of(look) is effects  # once
    totals = {str(row[0]): float(str(row[2])) for row in files.tables["totals"][1:]}
    assert max(totals, key=lambda word: totals[word]) == "beach"
    assert totals["beach"] == pytest.approx(float(files.arrays["maps"][5].mean()), rel=1e-5)
    assert len(files.tables["places"]) == 1 + 16 * 16
    assert "negative" not in files.pictures
