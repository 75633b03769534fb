"""Forms that people paste or drop as text: other programs' files of settings, tasks and API calls."""

import json

import pytest

from sd_app.metadata import read_parameters

COMMON = {"num_inference_steps": 20, "guidance_scale": 7.0, "seed": 42, "width": 512, "height": 768}
EASY_TEXT = """a cat
Width: 512
Height: 768
Seed: 42
Steps: 20
Guidance Scale: 7
Prompt Strength: 0.8
Use Face Correction: None
Sampler: euler_a
Negative Prompt: bad
Stable Diffusion model: m
VAE model: """
EASY = {"prompt": "a cat", "negative_prompt": "bad", "seed": 42, "num_inference_steps": 20, "height": 768}
EASY |= {"guidance_scale": 7, "width": 512, "sampler_name": "euler_a", "use_stable_diffusion_model": "m"}
EASY |= {"vram_usage_level": "high", "output_format": "jpeg", "used_random_seed": True}
OLD_INVOKE = {"prompt": "a cat [bad]", "steps": 20, "cfg_scale": 7.0, "height": 768, "width": 512, "seed": 42}
OLD_INVOKE |= {"sampler": "k_euler_a"}
RUINED = {
    "Prompt": "a cat",
    "Negative": "bad",
    "steps": 20,
    "cfg": 7,
    "width": 512,
    "height": 768,
    "seed": 42,
}
RUINED |= {"sampler_name": "euler_ancestral", "base_model_name": "m.safetensors", "software": "RuinedFooocus"}
BEE = {"prompt": "a cat", "negative_prompt": "bad", "seed": 42, "guidance_scale": "7", "ddim_steps": "20"}
BEE |= {"img_w": "512", "img_h": "768", "sampler": "Euler a", "model_version": "m"}
STABILITY = {"text_prompts": [{"text": "a cat", "weight": 1}, {"text": "bad", "weight": -1}], "seed": 42}
STABILITY |= {"cfg_scale": 7, "height": 768, "width": 512, "sampler": "K_EULER_ANCESTRAL", "steps": 20}
HORDE_PARAMS = {"sampler_name": "k_euler_a", "cfg_scale": 7, "seed": "42", "height": 768, "width": 512}
HORDE = {"prompt": "a cat###bad", "params": {**HORDE_PARAMS, "steps": 20, "n": 1}, "models": ["m"]}
API = {"prompt": "a cat", "negative_prompt": "bad", "steps": 20, "cfg_scale": 7, "sampler_name": "Euler a"}
API |= {
    "seed": 42,
    "width": 512,
    "height": 768,
    "override_settings": {"sd_model_checkpoint": "m.safetensors"},
}
TENSOR_ART = {**API, "override_settings": {}, "imageCount": 1, "baseModel": {"modelFileName": "m"}}


@pytest.mark.parametrize(
    "text",
    [
        EASY_TEXT,
        json.dumps(EASY),
        json.dumps({"numOutputsTotal": 1, "seed": 42, "reqBody": EASY}),
        '"a cat [bad]" -s 20 -S 42 -W 512 -H 768 -C 7.0 -A k_euler_a',
        'invoke> "a cat [bad]" -s20 -S42 -W512 -H768 -C7.0 -Ak_euler_a',
        json.dumps({"app_id": "invoke-ai/InvokeAI", "model_weights": "m", "image": OLD_INVOKE}),
        json.dumps(RUINED),
        json.dumps(BEE),
        json.dumps(STABILITY),
        json.dumps(HORDE),
        json.dumps(API),
        json.dumps(TENSOR_ART),
    ],
    ids=lambda text: text[:24],
)
def test_more_forms_that_people_paste_are_read(text: str) -> None:
    reading = read_parameters(text)
    request = reading.request
    assert {name: getattr(request, name) for name in COMMON} == COMMON
    assert (reading.prompt, request.negative_prompt, request.scheduler) == ("a cat", "bad", "Euler a")
    assert request.model in ("m", None)
    assert not [note for note in reading.notes if "prompt_strength" not in note and "Denoising" not in note]


@pytest.mark.parametrize(
    "words", ['"a cat" -s 20', '"hello" she said -S', '"a" b', "Sampler: a, Guidance: b"]
)
def test_words_in_quotes_are_no_command(words: str) -> None:
    assert read_parameters(words).prompt == words
