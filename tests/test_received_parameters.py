"""Parameters dropped on a tab or pasted into its prompt: what the form holds then, and what is told."""

import json
import warnings
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image

from sd_app import Studio
from sd_app.queue import JobQueue
from sd_app.requests import BlendRequest
from sd_app.ui.shared.files import PictureFiles
from sd_app.ui.shared.form import fields_of
from sd_app.ui.shared.making_events import MakingTabEvents
from sd_app.ui.shared.making_tab import build_making_tab
from sd_app.ui.shared.send_to import Receiver
from sd_app.ui.txt2img.tab import TXT2IMG
from tests.foreign_forms import png_with

CASES = Path(__file__).parent / "foreign_pictures"
LINE = "Steps: 22, Sampler: Euler a, CFG scale: 6.5, Seed: 5, Size: 512x768"
WHOLE = "The form holds that picture's parameters."
PART = "The form holds what it can of that picture's parameters."


@pytest.fixture
def tab(random_studio: Studio) -> MakingTabEvents:
    queue, files = JobQueue(), PictureFiles(random_studio.settings.outputs_dir, shared=False, copies=set())
    with gr.Blocks():
        picker = gr.Dropdown(["model-a", "model-b"], value="model-a")
        model = random_studio.models()[0]
        return build_making_tab(TXT2IMG, random_studio, queue, files, picker=picker, model=model)


def before(tab: MakingTabEvents) -> list[object]:
    return ["held", *[None] * (len(tab.form) - 1)]


def dropped(tab: MakingTabEvents, path: Path) -> tuple[dict[str, object], str]:
    """Drop a picture; return what the form is filled with, and what is told."""
    updates = Receiver(tab=tab).read_picture(tab.files.file(path), *before(tab))
    assert updates.pop(tab.drop) is None
    filled = {name: updates[field] for name, field in tab.form.items() if field in updates}
    return filled, updates[tab.prompts.notice]["text"] if tab.prompts.notice in updates else ""


def picture(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "theirs.png"
    path.write_bytes(png_with({"parameters": text}))
    return path


def test_the_form_holds_a_pictures_parameters_only_when_it_does(tab: MakingTabEvents, tmp_path: Path) -> None:
    filled, told = dropped(tab, picture(tmp_path, f"a cat\n{LINE}, Model hash: 1b2c, Version: v1.10.1"))
    assert told == WHOLE
    assert (filled["prompt"], filled["seed"], filled["scheduler"]) == ("a cat", 5, "Euler a")
    filled, told = dropped(tab, CASES / "unknown_extras.png")
    assert told == (
        f"{PART}\nNot taken: Denoising strength: 0.45; Hires upscale: 2; Hires steps: 10; Hires upscaler:"
        " Latent; Variation seed: 9; Variation seed strength: 0.3; ENSD: 31337; RNG: NV (no such field here)."
    )
    assert (filled["prompt"], filled["seed"], filled["width"]) == ("an orange cat", 5, 512)


def test_one_notice_names_everything_that_was_not_taken(tab: MakingTabEvents, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a toast beside the notice would be one
        filled, told = dropped(
            tab,
            picture(
                tmp_path,
                "a {red|blue} <hypernet:x:1> cat\nSteps: 20, Sampler: Nobody's, CFG scale: 99, Seed: 5, Size:"
                " 513x512, Model: elsewhere, VAE: kl-f8.pt, Hires upscale: 2, Version: f2.0.1",
            ),
        )
    assert told.split("\n") == [
        PART,
        "The model elsewhere is not here, so yours is kept.",
        "The sampler Nobody's is not here, so yours is kept.",
        "The VAE kl-f8 is not here, so yours is kept.",
        "Not taken: CFG scale: 99 (must be a number from 0 to 30).",
        "The tag <hypernet:x:1> is not read here.",
        "Braces in its prompt are read as plain text.",
        "Width 513 became 512, the nearest multiple of 8.",
        "Not taken: Hires upscale: 2 (no such field here).",
    ]
    assert filled["prompt"] == "a \\{red|blue}  cat"
    assert (filled["width"], filled["height"]) == (512, 512)
    assert not {"guidance_scale", "model", "scheduler", "vae"} & set(filled)


def test_half_characters_of_a_models_name_do_not_end_the_event(tab: MakingTabEvents, tmp_path: Path) -> None:
    text = f'a cat\n{LINE}, Model: "caf\\udce9, old", Version: sd_app 0.2.0'
    _, told = dropped(tab, picture(tmp_path, text))
    assert "The model caf?, old is not here" in told


def test_a_random_seed_is_asked_for_again(tab: MakingTabEvents, tmp_path: Path) -> None:
    filled, told = dropped(tab, picture(tmp_path, f"a cat\n{LINE.replace('Seed: 5', 'Seed: -1')}"))
    assert (filled["seed"], told) == (-1, WHOLE)


def test_whose_form_it_is_is_told_where_something_is_missing(tab: MakingTabEvents) -> None:
    filled, told = dropped(tab, CASES / "fooocus_json.png")
    assert told.split("\n")[:2] == [PART, "They are in Fooocus's format."]
    assert "The model m is not here" in told
    assert filled["prompt"] == "an orange cat"


def test_a_picture_without_a_prompt_empties_the_prompt(tab: MakingTabEvents) -> None:
    filled, told = dropped(tab, CASES / "no_prompt.png")
    assert (filled["prompt"], filled["negative_prompt"], filled["seed"]) == ("", "blurry", 5)
    assert told == WHOLE


@pytest.mark.parametrize("name", ["model-b.safetensors", "sd15\\Model-B.ckpt", "folder/model-b", "MODEL-B"])
def test_a_model_is_known_by_its_files_name(tab: MakingTabEvents, tmp_path: Path, name: str) -> None:
    filled, told = dropped(tab, picture(tmp_path, f"a cat\n{LINE}, Model: {name}"))
    assert filled["model"] == "model-b"
    assert told == WHOLE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 5000 + "]" * 5000, "The parameters are JSON nested more than 64 deep"),
        ('{"<img src=x>": 1}', "it holds <img src=x>"),
        ('{"nodes": [], "links": []}', "The parameters are a ComfyUI workflow without the graph"),
    ],
)
def test_what_cannot_be_read_is_a_plain_sentence(
    tab: MakingTabEvents, tmp_path: Path, text: str, said: str
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert dropped(tab, picture(tmp_path, text)) == ({}, "")
    (shown,) = [str(one.message) for one in caught if one.category is UserWarning]
    assert said.replace("<", "&lt;").replace(">", "&gt;") in shown
    assert shown.endswith(".")
    assert not {"\\", "'", '"', "<"} & set(shown)


def paste(tab: MakingTabEvents, text: object) -> dict[object, object]:
    event = gr.EventData(None, {"text": text})
    return dict(Receiver(tab=tab).paste(event, *before(tab)))


def test_pasting_parameters_does_what_dropping_a_picture_does(tab: MakingTabEvents, tmp_path: Path) -> None:
    text = f"a {{red|blue}} cat\n{LINE}, Hires upscale: 2"
    there = Receiver(tab=tab).read_picture(tab.files.file(picture(tmp_path, text)), *before(tab))
    del there[tab.drop]
    here = paste(tab, text)
    notices = [updates.pop(tab.prompts.notice) for updates in (there, here)]
    assert here == there
    assert notices[1]["text"] == notices[0]["text"].replace("that picture's", "the pasted")  # type: ignore[index]
    assert notices[1]["before"]["prompt"] == "held"  # type: ignore[index]


@pytest.mark.parametrize("text", [None, 3, '{"a": 1}'])
def test_what_is_pasted_and_no_parameters_changes_nothing(tab: MakingTabEvents, text: object) -> None:
    if isinstance(text, str):
        with pytest.raises(gr.Error, match="JSON of a form that this app does not know"):
            paste(tab, text)
    else:
        with pytest.raises(gr.Error, match="no parameters"):
            paste(tab, text)


def test_a_prompt_of_two_slots_costs_the_embeddings_tab_the_prompt_alone() -> None:
    text = f"a {{cat}} and {{dog}}\nNegative prompt: bad\n{LINE}, Version: sd_app 0.2.0"
    fields, remarks = fields_of(text, [], ("Euler a",), BlendRequest)
    assert (fields["seed"], fields["negative_prompt"]) == (5, "bad")
    assert not {"prompt", "expression"} & set(fields)
    assert remarks == [
        "Not taken: the prompt. Prompt must have one slot here, got 2 (use it in another tab, as it is)."
    ]


def test_another_programs_braces_are_one_phrase_in_the_embeddings_tab() -> None:
    fields, _ = fields_of(f"a {{red|blue}} cat\n{LINE}", [], ("Euler a",), BlendRequest)
    assert (fields["prompt"], fields["expression"]) == ("{}", '"a \\{red|blue} cat"')


def test_a_tabs_own_picture_is_taken_whole_by_another_tab(tab: MakingTabEvents, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    text = json.dumps({"sui_image_params": {"prompt": "a cat", "seed": 7, "steps": 3}})
    filled, told = dropped(tab, picture(tmp_path, text))
    assert (filled["prompt"], filled["seed"], told) == ("a cat", 7, WHOLE)
