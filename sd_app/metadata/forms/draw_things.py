"""Draw Things: JSON in XMP, with "c" the prompt and "uc" the negative one; beside it a text of its own.

PROMPT
-NEGATIVE
Steps: 20, Sampler: Euler Ancestral, Guidance Scale: 7.0, Seed: 42, ..., Strength: 1.0, Seed Mode: Scale Alike
"""

from dataclasses import replace

from ..foreign import Infotext, add_loras, file_name, rename, text_of

_NAMES = {
    "seed": "Seed",
    "steps": "Steps",
    "scale": "CFG scale",
    "sampler": "Sampler",
    "size": "Size",
    "clip_skip": "Clip skip",
}
_OF_ITS_TEXT, _ITS_STRENGTH = "Seed Mode", "Strength"
_READ = ("c", "uc", "model", "lora", "v2", "strength")


def read(data: dict[str, object]) -> Infotext | None:
    """Read Draw Things' object, None for another one."""
    if not isinstance(data.get("c"), str) or not ({"uc", "model", "scale"} & set(data)):
        return None
    fields = rename(data, _NAMES, _READ)
    if model := text_of(data.get("model")):
        fields["Model"] = file_name(model)
    if isinstance(strength := data.get("strength"), int | float) and 0 < strength < 1:
        fields["Denoising strength"] = f"{strength:g}"
    loras = data.get("lora")
    tags = [
        (one.get("model"), one.get("weight", 1))
        for one in (loras if isinstance(loras, list) else [])
        if isinstance(one, dict)
    ]
    return Infotext(
        prompt=add_loras(text_of(data["c"]), tags),
        negative_prompt=text_of(data.get("uc")),
        fields=fields,
        program="Draw Things",
    )


def read_text(info: Infotext) -> Infotext | None:
    """Read its text, taken apart as AUTOMATIC1111's; None for another program's."""
    if _OF_ITS_TEXT not in info.fields or info.negative_prompt:
        return None
    fields = dict(info.fields)
    strength = fields.pop(_ITS_STRENGTH, "1.0")
    if strength not in ("1", "1.0"):
        fields["Denoising strength"] = strength
    prompt, _, negative = f"\n{info.prompt}".partition("\n-")
    return replace(
        info,
        prompt=prompt.strip(),
        negative_prompt=negative.strip(),
        fields=fields,
        program="Draw Things",
    )
