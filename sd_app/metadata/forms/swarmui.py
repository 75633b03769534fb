"""SwarmUI, once StableSwarmUI: JSON with "sui_image_params"."""

from ..foreign import Infotext, add_loras, as_text, file_name, is_off, rename, size_text, text_of

_NAMES = {
    "seed": "Seed",
    "steps": "Steps",
    "cfgscale": "CFG scale",
    "sampler": "Sampler",
    "scheduler": "Schedule type",
    "initimagecreativity": "Denoising strength",
}
_READ = ("prompt", "negativeprompt", "width", "height", "model", "vae", "loras", "loraweights")
_READ_TOO = ("clipstopatlayer", "images", "swarm_version", "date", "generation_time", "aspectratio")


def read(data: dict[str, object]) -> Infotext | None:
    """Read SwarmUI's object, None for another one."""
    values = data.get("sui_image_params")
    if not isinstance(values, dict):
        return None
    fields = rename(values, _NAMES, (*_READ, *_READ_TOO))
    fields |= size_text(values.get("width"), values.get("height"))
    for name, key in (("model", "Model"), ("vae", "VAE")):
        if not is_off(values.get(name)):
            fields[key] = file_name(values[name])
    skip = as_text(values.get("clipstopatlayer", ""))
    if skip.startswith("-"):  # -2 is what others call 2
        fields["Clip skip"] = skip[1:]
    return Infotext(
        prompt=add_loras(text_of(values.get("prompt")), _loras(values)),
        negative_prompt=text_of(values.get("negativeprompt")),
        fields=fields,
        program="SwarmUI",
    )


def _loras(values: dict[str, object]) -> list[tuple[object, object]]:
    """Return names and weights, which come as lists or as texts with commas."""
    names, weights = (_several(values.get(key)) for key in ("loras", "loraweights"))
    return [(name, weights[index] if index < len(weights) else 1) for index, name in enumerate(names)]


def _several(value: object) -> list[object]:
    if isinstance(value, str):
        return [one.strip() for one in value.split(",") if one.strip()]
    return value if isinstance(value, list) else []
