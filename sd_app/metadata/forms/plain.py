"""JSON of no program in particular that names a prompt and settings as programs usually do.

The calls of AUTOMATIC1111's API are like that, diffusers' own arguments, and what picture sites hand out.
"""

from ..foreign import Infotext, file_name, is_off, rename, size_text, text_of

_NAMES = {  # in lower case, without what parts words
    "seed": "Seed",
    "steps": "Steps",
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
    "denoisingstrength": "Denoising strength",
    "strength": "Denoising strength",
}
_FILES = {"model": "Model", "modelname": "Model", "sdmodelname": "Model", "checkpoint": "Model", "vae": "VAE"}
_PROMPTS = ("prompt", "negativeprompt")
_WITHIN = ("params", "parameters", "meta", "metadata", "settings", "input", "request")


def read(data: dict[str, object]) -> Infotext | None:
    """Read an object with a prompt and at least one setting, or one such object within; None for another."""
    for candidate in (data, *(data.get(name) for name in _WITHIN)):
        if isinstance(candidate, dict) and (found := _read(candidate)):
            return found
    return None


def _read(data: dict[str, object]) -> Infotext | None:
    plain = {_squeezed(key): key for key in data}
    if not isinstance(data.get(plain.get("prompt", "")), str) or plain.keys().isdisjoint(_NAMES):
        return None
    names = {key: _NAMES[name] for name, key in plain.items() if name in _NAMES}
    others = [key for name, key in plain.items() if name in (*_PROMPTS, *_FILES, "width", "height")]
    fields = rename(data, names, others)
    if "Schedule type" in fields and "Sampler" not in fields:  # diffusers calls the sampler that
        fields["Sampler"] = fields.pop("Schedule type")
    fields |= size_text(data.get(plain.get("width", "")), data.get(plain.get("height", "")))
    for name, key in _FILES.items():
        value = data.get(plain.get(name, ""))
        if isinstance(value, str) and not is_off(value):
            fields[key] = file_name(value)
    return Infotext(
        prompt=text_of(data[plain["prompt"]]),
        negative_prompt=text_of(data.get(plain.get("negativeprompt", ""))),
        fields=fields,
    )


def _squeezed(key: object) -> str:
    return "".join(char for char in str(key).lower() if char.isalnum())
