"""Easy Diffusion: a text for each setting in PNG, one JSON object in the others, by two sets of names.

Its text files have the prompt on the first lines and a setting on each of the others.
"""

import re

from ..foreign import Infotext, add_loras, file_name, is_off, rename, size_text, text_of

_LABELS = {  # as the files call them by default -> as the program itself does
    "Prompt": "prompt",
    "Negative Prompt": "negative_prompt",
    "Seed": "seed",
    "Stable Diffusion model": "use_stable_diffusion_model",
    "VAE model": "use_vae_model",
    "LoRA model": "use_lora_model",
    "LoRA Strength": "lora_alpha",
    "Hypernetwork model": "use_hypernetwork_model",
    "Sampler": "sampler_name",
    "Steps": "num_inference_steps",
    "Number of inference steps": "num_inference_steps",
    "Guidance Scale": "guidance_scale",
    "Prompt Strength": "prompt_strength",
    "Width": "width",
    "Height": "height",
    "Clip Skip": "clip_skip",
    "Use Face Correction": "use_face_correction",
    "Use Upscaling": "use_upscale",
}
_NAMES = {
    "seed": "Seed",
    "num_inference_steps": "Steps",
    "guidance_scale": "CFG scale",
    "sampler_name": "Sampler",
    "prompt_strength": "Denoising strength",
}
_MODELS = {"use_stable_diffusion_model": "Model", "use_vae_model": "VAE"}
_READ = (
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "clip_skip",
    "use_lora_model",
    "lora_alpha",
    *_MODELS,
)
_NAMED = {"use_stable_diffusion_model", "sampler_name"}
_OWN = {*_NAMED, "num_inference_steps", "guidance_scale"}
_LINE = re.compile(rf"(?m)^({'|'.join(map(re.escape, _LABELS))}):[ \t]*(.*)$")
# How its server was asked to hand the picture over, not how it is drawn.
_USUAL = (
    *("used_random_seed", "num_outputs", "vram_usage_level", "stream_progress_updates", "original_prompt"),
    *("stream_image_progress", "show_only_filtered_image", "output_format", "output_quality", "block_nsfw"),
    *("metadata_output_format", "output_lossless", "active_tags", "inactive_tags", "session_id"),
)
NAMES = frozenset({*_LABELS, *_LABELS.values(), "tiling", "use_controlnet_model", "control_alpha"})


def read(data: dict[str, object]) -> Infotext | None:
    """Read Easy Diffusion's object, None for another one."""
    if isinstance(asked := data.get("reqBody"), dict):  # as its page saves a task
        data = asked
    values = {_LABELS.get(key, key): value for key, value in data.items()}
    if "prompt" not in values or len(_OWN & set(values)) < 2 or _NAMED.isdisjoint(values):
        return None
    fields = rename(values, _NAMES, (*_READ, *_USUAL)) | size_text(values.get("width"), values.get("height"))
    for name, key in _MODELS.items():
        if not is_off(values.get(name)):
            fields[key] = file_name(values[name])
    if str(values.get("clip_skip")) in ("True", "true", "2"):  # it is on or off there
        fields["Clip skip"] = "2"
    names, weights = (_several(values.get(name)) for name in ("use_lora_model", "lora_alpha"))
    loras = [(name, weights[at] if at < len(weights) else 1) for at, name in enumerate(names)]
    return Infotext(
        prompt=add_loras(text_of(values["prompt"]), loras),
        negative_prompt=text_of(values.get("negative_prompt")),
        fields=fields,
        program="Easy Diffusion",
    )


def read_text(text: str) -> Infotext | None:
    """Read one of its text files, None for another text."""
    found = {match[1]: match[2].strip() for match in _LINE.finditer(text)}
    if not {"Guidance Scale", "Sampler"} <= set(found):
        return None
    first = _LINE.search(text)
    assert first
    return read({"prompt": text[: first.start()].strip(), **found})


def _several(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    if is_off(value):
        return []
    return [one.strip(" []'\"") for one in str(value).split(",")]
