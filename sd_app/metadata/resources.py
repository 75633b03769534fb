"""LoRAs and models that settings name beside the prompt: Fooocus' weights, Civitai's list of resources."""

from dataclasses import replace

from .bounded_json import load_json
from .foreign import Infotext, add_loras, as_text, is_off

LORA_WEIGHTS, CIVITAI_RESOURCES = "Lora weights", "Civitai resources"
_CHECKPOINT = "checkpoint"


def read_resources(info: Infotext) -> Infotext:
    """Turn what is named beside the prompt into tags and a model where that goes, else into a remark."""
    fields = dict(info.fields)
    prompt, remarks = info.prompt, list(info.remarks)
    if weights := _weights(fields.get(LORA_WEIGHTS, "")):
        prompt = add_loras(prompt, weights)
        del fields[LORA_WEIGHTS]
    resources = load_json(fields.get(CIVITAI_RESOURCES))
    if isinstance(resources, list) and all(isinstance(one, dict) for one in resources):
        del fields[CIVITAI_RESOURCES]
        for one in (one for one in resources if one.get("type") == _CHECKPOINT):
            if not is_off(name := one.get("modelName")):
                fields.setdefault("Model", as_text(name))
        if others := [_told(one) for one in resources if one.get("type") != _CHECKPOINT]:
            remarks.append(f"Resources of Civitai that are not read: {', '.join(others[:20])}.")
    if (prompt, fields) == (info.prompt, info.fields):
        return info
    return replace(info, prompt=prompt, fields=fields, remarks=tuple(remarks))


def _weights(text: str) -> list[tuple[object, object]]:
    """Return names and weights of "offset: 0.1, detail: 0.5"; none if it is not a such list."""
    found: list[tuple[object, object]] = []
    for piece in filter(None, map(str.strip, text.split(","))):
        name, colon, weight = piece.rpartition(":")
        try:
            float(weight)
        except ValueError:
            return []
        if not colon:
            return []
        found.append((name.strip(), weight.strip()))
    return found


def _told(resource: dict[str, object]) -> str:
    """Name a resource as people know it, else by its number."""
    kind = "LoRA" if resource.get("type") == "lora" else as_text(resource.get("type") or "resource")[:20]
    name = as_text(resource.get("modelName") or f"number {as_text(resource.get('modelVersionId', '?'))}")
    weight = resource.get("weight")
    return f"{kind} {name[:60]}" + ("" if is_off(weight) else f" (weight {as_text(weight)[:8]})")
