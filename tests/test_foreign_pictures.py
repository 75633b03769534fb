"""Small pictures after public reports of other programs' users, each with what it should give."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from sd_app.expressions import place_text
from sd_app.metadata import from_infotext, read_infotext, read_parameters

FOLDER = Path(__file__).parent / "foreign_pictures"
USUAL = {
    "prompt": "an orange cat",
    "negative_prompt": "blurry",
    "num_inference_steps": 22,
    "seed": 5,
    "scheduler": "DPM++ 2M Karras",
    "guidance_scale": 6.5,
    "width": 512,
    "height": 768,
}
CAT = {**USUAL, "prompt": "a cat 猫", "negative_prompt": "bad", "scheduler": "Euler a"}
ALONE = {**USUAL, "negative_prompt": ""}
# File -> its values, and what must be told of it; nothing is told where everything was taken.
CASES: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "value_with_newline.png": (USUAL, ("Wildcard prompt: one two",)),
    "resources_own_line.png": (USUAL, ()),
    "negative_and_settings_one_line.png": (
        {
            **USUAL,
            "num_inference_steps": 30,
            "scheduler": "Euler a",
            "guidance_scale": 7.0,
            "height": 512,
        },
        (),
    ),
    "fooocus_a1111_scheme.jpg": (USUAL, ()),
    "fooocus_a1111_scheme.webp": (USUAL, ()),
    "fooocus_json.png": (
        {
            **USUAL,
            "num_inference_steps": 30,
            "guidance_scale": 4.0,
            "scheduler": "Euler Karras",
            "model": "m",
        },
        (),
    ),
    "swarm_json.png": (
        {**USUAL, "num_inference_steps": 20, "guidance_scale": 7.0, "scheduler": None},
        (),
    ),
    "comfy.png": (
        {**USUAL, "num_inference_steps": 20, "guidance_scale": 8.0, "width": None, "height": None},
        (),
    ),
    "text_after_idat.png": ({**CAT, "prompt": "a cat"}, ()),
    "itxt_after_idat.png": (CAT, ()),
    "unknown_extras.png": (
        ALONE,
        (
            *("Denoising strength: 0.45", "Hires upscale: 2", "Hires steps: 10", "Hires upscaler: Latent"),
            *("Variation seed: 9", "Variation seed strength: 0.3", "ENSD: 31337", "RNG: NV"),
        ),
    ),
    "braces_wildcard.png": ({**USUAL, "prompt": "a {red|blue} cat"}, ("Braces in its prompt",)),
    "braces_emoticon.png": ({**USUAL, "prompt": "an orange cat {"}, ("Braces in its prompt",)),
    "lora_block_weight.png": (
        {**USUAL, "prompt": "an orange cat <lora:style:0.8>"},
        ("Of the tag <lora:style:0.8:lbw=OUTALL> only <lora:style:0.8> is read.",),
    ),
    "no_prompt.png": ({**USUAL, "prompt": ""}, ()),
    "model_with_extension.png": (
        {
            **ALONE,
            "num_inference_steps": 20,
            "scheduler": "Euler a",
            "guidance_scale": 7.0,
            "width": 128,
            "height": 128,
            "model": "tiny-sd",
        },
        (),
    ),
    "sdnext_sigma.png": ({**USUAL, "num_inference_steps": 30, "guidance_scale": 6.0}, ()),
    "uc_utf16be_mostly_cjk.jpg": (
        {"prompt": "猫が一匹いる" * 40, "num_inference_steps": 2, "scheduler": "Euler", "seed": 5},
        (),
    ),
    "uc_unicode_but_utf8.jpg": (CAT, ()),
    "uc_type2_ascii.jpg": (CAT, ()),
    "text_utf8.png": (CAT, ()),
}


def plain(prompt: str | None) -> str:
    """Return the words of a prompt, which is read without an error of its grammar."""
    return place_text(prompt or "").replace("\\{", "{").replace("\\}", "}")


@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_its_values_and_tells_what_was_not_taken(name: str) -> None:
    values, told = CASES[name]
    text = read_infotext(FOLDER / name)
    assert text
    reading = read_parameters(text)
    for field, value in values.items():
        found = plain(reading.prompt) if field == "prompt" else getattr(reading.request, field)
        if field == "scheduler" and found:
            found = reading.request.sampling
        assert found == value, field
    notes = "\n".join(reading.notes)
    assert [one for one in told if one not in notes] == []
    assert reading.is_complete == (not told), notes


def test_every_file_has_its_values() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*CASES, "seed_u63.png"}


def test_a_large_seed_is_taken() -> None:
    reading = read_parameters(read_infotext(FOLDER / "seed_u63.png") or "")
    assert reading.request.num_inference_steps == 22
    assert reading.request.seed == 1102676403634909


@pytest.mark.parametrize("name", [name for name in CASES if name != "no_prompt.png"])
def test_the_request_of_a_file_is_the_one_that_was_read(name: str) -> None:
    text = read_infotext(FOLDER / name) or ""
    assert from_infotext(text) == read_parameters(text).request


@pytest.mark.parametrize("name", CASES)
def test_an_open_picture_says_the_same_as_its_file(name: str) -> None:
    with Image.open(BytesIO((FOLDER / name).read_bytes())) as image:
        assert read_infotext(image) == read_infotext(FOLDER / name)
