"""InvokeAI: "invokeai_metadata" since version 3, before that "sd-metadata", at first a "Dream" line."""

import re

from ..bounded_json import load_object
from ..foreign import Infotext, add_loras, as_text, file_name, is_off, rename, size_text, text_of

KEYWORDS = ("invokeai_metadata", "sd-metadata", "Dream", "dream")
_NAMES = {
    "seed": "Seed",
    "steps": "Steps",
    "cfg_scale": "CFG scale",
    "scheduler": "Sampler",
    "sampler": "Sampler",
    "strength": "Denoising strength",
}
_READ = (
    *(
        "positive_prompt",
        "negative_prompt",
        "width",
        "height",
        "model",
        "vae",
        "loras",
        "clip_skip",
        "prompt",
    ),
    *("positive_style_prompt", "negative_style_prompt", "generation_mode", "rand_device", "model_weights"),
    *("type", "app_id", "app_version", "image", "orig_hash"),
)
_OPTIONS = {
    "s": "Steps",
    "S": "Seed",
    "W": "Width",
    "H": "Height",
    "C": "CFG scale",
    "A": "Sampler",
    "f": "Denoising strength",
}
MIN_OPTIONS = 3  # fewer are words
_PROMPT_SIGN = re.compile(r"\A(?:dream|invoke)> *")
_DREAM = re.compile(r'\s*"((?:[^"\\]|\\.)*+)"(.*)', re.DOTALL)
_OPTION = re.compile(r"(?:\A|\s)(?:--([A-Za-z]\w*)|-([A-Za-z]))(?:[ =]?(?!-)([^\s]+))?")
_NEGATIVE = re.compile(r"(?<!\\)\[([^\[\]]*)\]")
_WEIGHTED = re.compile(r"[\w)][+]+(?=[\s,.)]|\Z)|\)[-]+(?=[\s,.)]|\Z)|\)\.(?:blend|and|swap)\(")


def read(data: dict[str, object]) -> Infotext | None:
    """Read one of InvokeAI's three forms, None for another object."""
    if found := load_object(data.get("invokeai_metadata")):
        return _read_metadata(found)
    if found := load_object(data.get("sd-metadata")):
        return _read_old(found)
    if dream := data.get("Dream") or data.get("dream"):
        return _read_dream(dream) if isinstance(dream, str) else None
    if "image" in data and "app_id" in data:
        return _read_old(data)
    if "positive_prompt" in data and ("app_version" in data or "generation_mode" in data):
        return _read_metadata(data)  # as it is when copied out
    return None


def _read_metadata(data: dict[str, object]) -> Infotext:
    fields = rename(data, _NAMES, _READ) | size_text(data.get("width"), data.get("height"))
    for key, name in (("Model", "model"), ("VAE", "vae")):
        if model := _model_name(data.get(name)):
            fields[key] = model
    skip = data.get("clip_skip")
    if isinstance(skip, int) and skip > 0:  # it counts the layers left out
        fields["Clip skip"] = str(skip + 1)
    prompts = [text_of(data.get(f"{kind}_prompt")) for kind in ("positive", "negative")]
    styles = [text_of(data.get(f"{kind}_style_prompt")) for kind in ("positive", "negative")]
    fields |= {
        f"{kind} style prompt": style
        for kind, style, prompt in zip(("Positive", "Negative"), styles, prompts, strict=True)
        if style and style != prompt
    }
    loras = data.get("loras")
    return Infotext(
        prompt=add_loras(prompts[0], map(_lora, loras if isinstance(loras, list) else [])),
        negative_prompt=prompts[1],
        fields=fields,
        program="InvokeAI",
        remarks=_remarks(*prompts),
    )


def _read_old(data: dict[str, object]) -> Infotext:
    image = load_object(data.get("image"))
    known = rename(image, _NAMES, _READ) | size_text(image.get("width"), image.get("height"))
    if model := data.get("model_weights"):
        known["Model"] = file_name(model)
    prompts = image.get("prompt")
    if isinstance(prompts, list):
        prompts = [one.get("prompt") for one in prompts if isinstance(one, dict)]
    prompt, negative_prompt = _split_negative(text_of(prompts))
    return Infotext(
        prompt=prompt,
        negative_prompt=negative_prompt,
        fields=known,
        program="InvokeAI",
        remarks=_remarks(prompt, negative_prompt),
    )


def read_command(text: str) -> Infotext | None:
    """Read such a command where it stands alone; None for another text, that only begins with a quote."""
    found = _read_dream(_PROMPT_SIGN.sub("", text))
    known = set(_OPTIONS.values()) | {"Size"}
    return found if found and len(known.intersection(found.fields)) >= MIN_OPTIONS else None


def _read_dream(text: str) -> Infotext | None:
    """Read the command of the first versions: "a cat [blurry]" -s 50 -S 123 -W 512 -H 512 -C 7.5 -A k_lms."""
    match = _DREAM.match(text)
    if not match:
        return None
    options = [(one[1] or one[2], one[3] or "True") for one in _OPTION.finditer(match[2])]
    given = {_OPTIONS.get(name, name): value for name, value in options}
    size = size_text(given.pop("Width", None), given.pop("Height", None))
    prompt, negative_prompt = _split_negative(match[1].replace('\\"', '"'))
    return Infotext(
        prompt=prompt,
        negative_prompt=negative_prompt,
        fields=given | size,
        program="InvokeAI",
        remarks=_remarks(prompt, negative_prompt),
    )


def _split_negative(prompt: str) -> tuple[str, str]:
    """Part a prompt of the old versions from the words in square brackets, which were the negative ones."""
    negative = ", ".join(filter(None, (match[1].strip(" ,") for match in _NEGATIVE.finditer(prompt))))
    words = re.sub(r"[ ,]*,[ ,]*", ", ", _NEGATIVE.sub("", prompt))
    return words.strip(" ,"), negative


def _model_name(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("name") or value.get("model_name")
    return "" if is_off(value) else file_name(value)


def _lora(entry: object) -> tuple[object, object]:
    lora = entry if isinstance(entry, dict) else {}
    return _model_name(lora.get("model") or lora.get("lora")), as_text(lora.get("weight", 1))


def _remarks(*prompts: str) -> tuple[str, ...]:
    if not any(map(_WEIGHTED.search, prompts)):
        return ()
    return ("Its + and −, .blend(), .and() and .swap() are plain text here: weigh words as in (word:1.2).",)
