"""JSON of no program in particular that names a prompt and settings as programs usually do.

The calls of AUTOMATIC1111's API are like that, those of Stability's and of the AI Horde, diffusers' own
arguments, and what DiffusionBee, Tensor.Art, Civitai and other picture sites hand out.
"""

import json
from collections.abc import Mapping

from ..foreign import Infotext, file_name, is_off, rename, size_text, text_of
from ..resources import CIVITAI_RESOURCES

_NAMES = {  # in lower case, without what parts words
    "seed": "Seed",
    "steps": "Steps",
    "ddimsteps": "Steps",
    "numinferencesteps": "Steps",
    "cfg": "CFG scale",
    "cfgscale": "CFG scale",
    "guidancescale": "CFG scale",
    "sampler": "Sampler",
    "samplername": "Sampler",
    "samplerindex": "Sampler",
    "scheduler": "Schedule type",
    "scheduletype": "Schedule type",
    "size": "Size",
    "clipskip": "Clip skip",
    "clipstopatlastlayers": "Clip skip",
    "denoisingstrength": "Denoising strength",
    "strength": "Denoising strength",
}
_FILES = {
    "model": "Model",
    "modelname": "Model",
    "modelversion": "Model",
    "modelfilename": "Model",
    "sdmodelname": "Model",
    "sdmodelcheckpoint": "Model",
    "checkpoint": "Model",
    "vae": "VAE",
    "sdvae": "VAE",
}
_SIDES = (("width", "height"), ("imgw", "imgh"))
_PROMPTS = ("prompt", "negativeprompt", "textprompts", "models", "karras", "civitairesources")
_WITHIN = ("params", "parameters", "meta", "metadata", "settings", "input", "request", "reqBody")
_BESIDE = ("params", "override_settings", "baseModel")  # objects whose settings belong to those around them
_USUAL = ("overridesettingsrestoreafterwards", "alwaysonscripts", "imagecount", "engine", "n", "samples")
_PARTED = "###"  # the AI Horde's, between prompt and negative prompt


def read(data: dict[str, object]) -> Infotext | None:
    """Read an object with a prompt and at least one setting, or one such object within; None for another."""
    for candidate in (data, *(data.get(name) for name in _WITHIN)):
        if isinstance(candidate, dict) and (found := _read(_with_beside(candidate))):
            return found
    return None


def _with_beside(data: dict[str, object]) -> dict[str, object]:
    """Return an object with the settings that it keeps in objects of their own; its own go before them."""
    whole = {key: value for key, value in data.items() if not (key in _BESIDE and isinstance(value, dict))}
    for name in _BESIDE:
        if isinstance(inner := data.get(name), dict):
            whole = {**inner, **whole}
    return whole


def _read(data: dict[str, object]) -> Infotext | None:
    plain = {_squeezed(key): key for key in data}
    value = {name: data[key] for name, key in plain.items()}
    prompts = _prompts_of(value)
    if not prompts or plain.keys().isdisjoint(_NAMES):
        return None
    names = {key: _NAMES[name] for name, key in plain.items() if name in _NAMES}
    sides = [side for both in _SIDES for side in both]
    others = [key for name, key in plain.items() if name in (*_PROMPTS, *_FILES, *_USUAL, *sides)]
    fields = rename(data, names, others)
    if "Schedule type" in fields and "Sampler" not in fields:  # diffusers calls the sampler that
        fields["Sampler"] = fields.pop("Schedule type")
    if value.get("karras") is True and "Sampler" in fields:
        fields.setdefault("Schedule type", "Karras")
    for width, height in _SIDES:
        fields |= size_text(value.get(width), value.get(height))
    models = value.get("models")
    files = {"models": models[0] if isinstance(models, list) and models else None, **value}
    for name, key in {"models": "Model", **_FILES}.items():
        if isinstance(name_of := files.get(name), str) and not is_off(name_of):
            fields[key] = file_name(name_of)
    if resources := value.get("civitairesources"):
        fields[CIVITAI_RESOURCES] = json.dumps(resources, ensure_ascii=False)
    return Infotext(prompt=prompts[0], negative_prompt=prompts[1], fields=fields)


def _prompts_of(value: Mapping[str, object]) -> tuple[str, str] | None:
    """Return both prompts, None if there are none. Stability's API weighs texts, negative ones below 0."""
    texts = value.get("textprompts")
    if isinstance(texts, list):
        kinds: tuple[list[str], list[str]] = ([], [])
        for one in texts:
            if isinstance(one, dict) and isinstance(text := one.get("text"), str):
                weight = one.get("weight", 1)
                kinds[isinstance(weight, int | float) and weight < 0].append(text.strip())
        return ", ".join(kinds[0]), ", ".join(kinds[1])
    if not isinstance(prompt := value.get("prompt"), str):
        return None
    negative = text_of(value.get("negativeprompt"))
    if _PARTED in prompt and not negative:
        prompt, _, negative = prompt.partition(_PARTED)
    return prompt.strip(), negative.strip()


def _squeezed(key: object) -> str:
    return "".join(char for char in str(key).lower() if char.isalnum())
