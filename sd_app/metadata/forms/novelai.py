"""NovelAI: the prompt in "Description", everything in the JSON of "Comment"."""

from ..bounded_json import load_object
from ..foreign import Infotext, as_text, rename, size_text, text_of

KEYWORDS = ("Comment", "Description", "Software", "Source", "Title")
_NAMES = {
    "steps": "Steps",
    "sampler": "Sampler",
    "noise_schedule": "Schedule type",
    "scale": "CFG scale",
    "seed": "Seed",
    "strength": "Denoising strength",
}
_READ = ("prompt", "uc", "width", "height", "v4_prompt", "v4_negative_prompt")
# What says nothing of the picture, or only that something is as usual.
_USUAL = (
    *(
        "n_samples",
        "uncond_scale",
        "signed_hash",
        "request_type",
        "version",
        "legacy_v3_extend",
        "hide_debug",
    ),
    *(
        "legacy",
        "legacy_uc",
        "add_original_image",
        "controlnet_strength",
        "extra_noise_seed",
        "lora_unet_weights",
    ),
)


def read(data: dict[str, object]) -> Infotext | None:
    """Read NovelAI's texts, or their comment alone; None for another object."""
    comment = load_object(data.get("Comment")) or (data if "uc" in data and "c" not in data else {})
    software = text_of(data.get("Software"))
    if "uc" not in comment or not ("sampler" in comment or software == "NovelAI"):
        return None
    fields = rename(comment, _NAMES, (*_READ, *_USUAL))
    if fields.get("Schedule type") == "native":  # the sampler's own
        del fields["Schedule type"]
    if fields.get("Denoising strength") and "request_type" in comment and "noise" not in comment:
        fields.pop("Denoising strength")
    fields |= size_text(comment.get("width"), comment.get("height"))
    if source := text_of(data.get("Source")):
        fields["Model"] = source
    return Infotext(
        prompt=_prompt(comment, data),
        negative_prompt=_caption(comment.get("v4_negative_prompt")) or text_of(comment.get("uc")),
        fields=fields,
        program="NovelAI",
    )


def _prompt(comment: dict[str, object], data: dict[str, object]) -> str:
    return (
        _caption(comment.get("v4_prompt"))
        or text_of(comment.get("prompt"))
        or text_of(data.get("Description"))
    )


def _caption(value: object) -> str:
    """Return version 4's prompt: what counts for the whole, then for each character."""
    caption = value.get("caption") if isinstance(value, dict) else None
    if not isinstance(caption, dict):
        return ""
    people = caption.get("char_captions")
    characters = [
        as_text(one.get("char_caption", ""))
        for one in (people if isinstance(people, list) else [])
        if isinstance(one, dict)
    ]
    return ", ".join(filter(None, [text_of(caption.get("base_caption")), *characters]))
