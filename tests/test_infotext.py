"""Infotext both ways: what is written is what other tools read, and is read back equal."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sd_app.metadata import EXACT_PROMPTS, from_infotext, parse_infotext, to_infotext
from sd_app.requests import Img2ImgRequest, InpaintRequest, Txt2ImgRequest
from tests.infotexts import PICTURE, PLAIN, picture_requests, resolved_requests
from tests.limits import within_cpu_seconds

A1111 = """\
girl with an artist's beret, ((eyeshadow)), (blue:1.2), [coquettish], by Alphonse Mucha
second line of the prompt
Negative prompt: ugly, (((deformed))), bad anatomy: all of it
more of what to avoid
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 965400086, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE: "vae:ft, mse", Denoising strength: 0.75, \
Clip skip: 2, Hires upscale: 2, Lora hashes: "a: 1b2c, d: 3e4f", Version: v1.10.1"""


@settings(max_examples=200, deadline=None)
@given(resolved_requests())
@example(replace(PLAIN, prompt="x" * 10_000, negative_prompt="ü\n" * 5_000))
@example(replace(PLAIN, prompt=" blanks \r\n around ", negative_prompt="\n"))
@example(replace(PLAIN, prompt='a {row: "b, c: d" + 0.5*lerp(e, <f>, 1/3)}', negative_prompt="\\{ {-g}"))
@example(replace(PLAIN, scheduler="DPM++ 2M"))
@example(replace(PLAIN, scheduler="x Karras Karras"))
@example(replace(PLAIN, guidance_scale=5e-324))
@example(replace(PLAIN, model="caf\udce9 of an old disk"))
def test_a_request_written_and_read_back_is_equal(request_: Txt2ImgRequest) -> None:
    assert from_infotext(to_infotext(request_)) == request_


def test_the_text_is_the_one_other_tools_read() -> None:
    assert to_infotext(replace(PLAIN, clip_skip=2), model_hash="6ce0161689", version="1") == (
        "an orange cat, on the beach\n"
        "Negative prompt: blurry, text\n"
        "Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 5, Seed: 7, Size: 128x192,"
        " Model hash: 6ce0161689, Model: tiny-sd, Clip skip: 2, Version: 1"
    )


def test_what_was_made_faster_says_so() -> None:
    text = to_infotext(replace(PLAIN, guidance_end=0.5, cache_interval=3), version="1")
    assert text.endswith("Model: tiny-sd, Guidance end: 0.5, DeepCache interval: 3, Version: 1")


def test_what_says_nothing_is_left_out() -> None:
    text = to_infotext(
        replace(PLAIN, negative_prompt="", scheduler="Euler a", schedule_type="Uniform", guidance_scale=7.5),
        version="1",
    )
    assert text == (
        "an orange cat, on the beach\n"
        "Steps: 25, Sampler: Euler a, CFG scale: 7.5, Seed: 7, Size: 128x192, Model: tiny-sd, Version: 1"
    )


def test_a_value_with_a_comma_or_a_colon_is_quoted_as_json() -> None:
    assert 'Model: "a, b: c"' in to_infotext(replace(PLAIN, model="a, b: c"))
    assert "Model: tiny-sd," in to_infotext(PLAIN)


def test_only_an_ambiguous_prompt_gets_the_exact_key() -> None:
    several_lines = replace(PLAIN, prompt='(a "cat":1.2),\n\nBREAK, [dog]', negative_prompt="a\nb")
    assert EXACT_PROMPTS not in to_infotext(several_lines)
    for prompt in ("a \nb", "a\r\nb", " a", "a\nNegative prompt: b"):
        assert EXACT_PROMPTS in to_infotext(replace(PLAIN, prompt=prompt))


def test_a_sampler_without_its_automatic_schedule_says_so() -> None:
    """Other tools take a missing schedule type for automatic, which is Karras for this sampler."""
    assert "Sampler: DPM++ 2M, Schedule type: Uniform, CFG" in to_infotext(
        replace(PLAIN, schedule_type="Uniform")
    )


def test_an_unresolved_request_is_refused_by_field() -> None:
    with pytest.raises(ValueError, match="seed must be known"):
        to_infotext(replace(PLAIN, seed=None))


def test_an_infotext_of_automatic1111_is_read() -> None:
    assert from_infotext(A1111) == Txt2ImgRequest(
        prompt="girl with an artist's beret, ((eyeshadow)), (blue:1.2), [coquettish], by Alphonse Mucha\n"
        "second line of the prompt",
        negative_prompt="ugly, (((deformed))), bad anatomy: all of it\nmore of what to avoid",
        model="v1-5-pruned-emaonly",
        scheduler="DPM++ 2M Karras",
        num_inference_steps=20,
        guidance_scale=7.0,
        seed=965400086,
        width=512,
        height=768,
        clip_skip=2,
        vae="vae:ft, mse",
    )


def test_unknown_keys_are_kept() -> None:
    fields = parse_infotext(A1111).fields
    assert fields["Denoising strength"] == "0.75"
    assert fields["VAE"] == "vae:ft, mse"
    assert fields["Lora hashes"] == "a: 1b2c, d: 3e4f"


@pytest.mark.parametrize(
    ("written", "scheduler", "schedule_type"),
    [
        ("Sampler: DPM++ 2M Karras", "DPM++ 2M", "Karras"),
        ("Sampler: DPM++ 2M", "DPM++ 2M", "Uniform"),
        ("Sampler: DPM++ 2M, Schedule type: Karras", "DPM++ 2M", "Karras"),
        ("Sampler: DPM++ 2M, Schedule type: Uniform", "DPM++ 2M", "Uniform"),
        ("Sampler: DPM++ 2M, Schedule type: Automatic", "DPM++ 2M", "Karras"),
        ("Sampler: DPM++ 2M SDE, Schedule type: Automatic", "DPM++ 2M SDE", "Exponential"),
        ("Sampler: DPM++ 2M Karras, Schedule type: Karras", "DPM++ 2M", "Karras"),
        ("Sampler: DPM++ 2M Karras, Schedule type: Automatic", "DPM++ 2M", "Karras"),
        ("Sampler: Euler a, Schedule type: Automatic", "Euler a", "Uniform"),
        ("Sampler: Euler, Schedule type: SGM Uniform", "Euler", "SGM Uniform"),
        ("Sampler: DPM adaptive of tomorrow", "DPM adaptive of tomorrow", "Uniform"),
    ],
)
def test_old_and_new_names_of_samplers_are_read(written: str, scheduler: str, schedule_type: str) -> None:
    request = from_infotext(f"a cat\nSteps: 20, {written}, CFG scale: 7")
    assert (request.scheduler, request.schedule_type) == (scheduler, schedule_type)


def test_values_beyond_our_range_are_left_to_the_default() -> None:
    request = from_infotext(
        "a cat\nSteps: 5000, Sampler: Euler, CFG scale: nan, Seed: -1, Size: 513x512, Clip skip: many"
    )
    assert request == Txt2ImgRequest(prompt="a cat", scheduler="Euler", width=512, height=512)


def test_two_parameters_are_not_a_parameter_line() -> None:
    assert parse_infotext("a cat\nSteps: 20, Seed: 1").prompt == "a cat\nSteps: 20, Seed: 1"
    assert parse_infotext("a cat\nSteps: 20, Seed: 1, Size: 8x8").prompt == "a cat"


@pytest.mark.parametrize("negative", ["", "a dog, [blue:red:3]"])
def test_a_text_without_a_prompt_is_a_picture_of_no_words(negative) -> None:
    request = replace(PLAIN, prompt="", negative_prompt=negative)
    assert from_infotext(to_infotext(request)) == request
    assert from_infotext("Steps: 20, Sampler: Euler, Seed: 1").prompt == ""


@pytest.mark.parametrize(
    "hostile", ["a" * 1_000_000, "a " * 500_000, 'a1: "' * 200_000, " " * 10**6 + "x", 'a1: "\\' * 200_000]
)
def test_a_long_hostile_line_is_read_in_linear_time(hostile: str) -> None:
    within_cpu_seconds(5, lambda: parse_infotext(hostile))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_reading_any_text_never_fails(text: str) -> None:
    parse_infotext(text)


@settings(max_examples=100, deadline=None)
@given(picture_requests())
def test_a_request_with_pictures_is_read_back_equal_when_they_are_given(request_: Img2ImgRequest) -> None:
    names = ("init_image", "mask_image") if isinstance(request_, InpaintRequest) else ("init_image",)
    pictures = {name: getattr(request_, name) for name in names}
    assert from_infotext(to_infotext(request_), type(request_), **pictures) == request_


def test_one_step_at_full_strength_is_read_back_equal() -> None:
    request = Img2ImgRequest(**{**vars(PLAIN), "num_inference_steps": 1}, init_image=PICTURE, strength=1)
    assert from_infotext(to_infotext(request), Img2ImgRequest, init_image=PICTURE) == request


def test_inpainting_is_written_under_the_names_other_tools_know() -> None:
    request = InpaintRequest(
        **vars(PLAIN),
        init_image=PICTURE,
        mask_image=PICTURE.convert("L"),
        strength=0.6,
        feather=4,
        masked_content="noise",
        only_masked=True,
        invert_mask=True,
    )
    text = to_infotext(request)
    assert (
        "Denoising strength: 0.6, Mask blur: 4, Mask mode: Inpaint not masked, Masked content: latent noise,"
        " Inpaint area: Only masked, Masked area padding: 32"
    ) in text
    usual = to_infotext(
        replace(request, feather=0, masked_content="original", only_masked=False, invert_mask=False)
    )
    assert "Denoising strength: 0.6, Version" in usual
    assert from_infotext(text) == PLAIN


def test_a1111s_inpainting_is_read() -> None:
    text = A1111.replace("Mask blur: 4, ", "").replace(
        "Clip skip: 2", "Mask blur: 4, Masked content: latent nothing"
    )
    request = from_infotext(text, InpaintRequest, init_image=PICTURE, mask_image=PICTURE.convert("L"))
    assert (request.strength, request.feather, request.masked_content) == (0.75, 4, "original")


@pytest.mark.parametrize(
    ("version", "prompt", "negative"),
    [
        ("sd_app 0.2.0", r"a [cat\:dog\:0.5] and [a\|b]", r"[x\:3] AND"),
        ("sd_app 0.1.0", r"a [cat\:dog\:0.5] and [a\|b]", r"[x\:3] AND"),
        ("sd_app 0.3.0", "a [cat:dog:0.5] AND [a|b]", "[x:3] AND"),
        ("v1.10.1", "a [cat:dog:0.5] AND [a|b]", "[x:3] AND"),
    ],
)
def test_what_an_older_version_wrote_is_read_as_it_read_it(version, prompt, negative) -> None:
    request = replace(PLAIN, prompt="a [cat:dog:0.5] AND [a|b]", negative_prompt="[x:3] AND")
    read = from_infotext(to_infotext(request, version=version))
    assert (read.prompt, read.negative_prompt) == (prompt, negative)
    assert from_infotext(to_infotext(request)) == request
