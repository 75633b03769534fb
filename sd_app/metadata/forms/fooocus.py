"""Fooocus' own scheme: JSON under "parameters", in its older log with the labels of its page as keys."""

import re

from ..foreign import Infotext, add_loras, file_name, is_off, rename, size_text, text_of

_NAMES = {
    "seed": "Seed",
    "steps": "Steps",
    "guidance_scale": "CFG scale",
    "cfg": "CFG scale",  # RuinedFooocus
    "sampler": "Sampler",
    "sampler_name": "Sampler",
    "scheduler": "Schedule type",
    "clip_skip": "Clip skip",
}
_READ = (
    *("prompt", "negative_prompt", "resolution", "base_model", "vae", "loras", "full_prompt"),
    *(
        "full_negative_prompt",
        "refiner_switch",
        "metadata_scheme",
        "created_by",
        "performance",
        "base_model_hash",
    ),
    *("negative", "width", "height", "base_model_name", "software"),
)
_STEPS = {"speed": "30", "quality": "60", "extreme speed": "8", "lightning": "4", "hyper-sd": "4"}
_OWN = {"base_model", "base_model_name", "metadata_scheme", "performance", "resolution"}
_WEIGHT_AND_NAME = re.compile(r"(-?[\d.]+) - (.+)")
_LORA = re.compile(r"lora(?:_combined)?_?\d+")


def read(data: dict[str, object]) -> Infotext | None:
    """Read Fooocus' object, None for another one."""
    data = {str(key).lower().replace(" ", "_"): value for key, value in data.items()}
    if "prompt" not in data or _OWN.isdisjoint(data):
        return None
    loras = {key: value for key, value in data.items() if _LORA.fullmatch(key)}
    fields = rename(data, _NAMES, (*_READ, *loras))
    size = re.findall(r"\d+", text_of(data.get("resolution")) or str(data.get("resolution")))
    if len(size) == 2:
        fields["Size"] = "x".join(size)
    fields |= size_text(data.get("width"), data.get("height"))
    if fields.get("Schedule type") == fields.get("Sampler"):  # lcm and tcd have one of their own
        fields.pop("Schedule type", None)
    performance = text_of(data.get("performance"))
    if "Steps" not in fields and performance.lower() in _STEPS:
        fields["Steps"] = _STEPS[performance.lower()]
    for name, key in (("base_model", "Model"), ("base_model_name", "Model"), ("vae", "VAE")):
        if not is_off(data.get(name)) and data[name] != "Default (model)":
            fields[key] = file_name(data[name])
    combined = map(_combined, loras.values())
    return Infotext(
        prompt=add_loras(text_of(data["prompt"]), [*_listed(data.get("loras")), *combined]),
        negative_prompt=text_of(data.get("negative_prompt")) or text_of(data.get("negative")),
        fields=fields,
        program="Fooocus",
    )


def _listed(value: object) -> list[tuple[object, object]]:
    """Return LoRAs that are lists of name, weight and hash, or of hash and "weight - name"."""
    entries = value if isinstance(value, list) else []
    pairs = [(one[0], one[1]) for one in entries if isinstance(one, list) and len(one) > 1]
    return [
        (named[2], named[1]) if (named := _WEIGHT_AND_NAME.fullmatch(str(weight))) else (name, weight)
        for name, weight in pairs
    ]


def _combined(value: object) -> tuple[object, object]:
    """Return the LoRA in a text "name : weight"."""
    name, _, weight = text_of(value).rpartition(" : ")
    return name, weight
