"""What the readers of other programs' forms share: the shape of what they find, and its pieces.

Whatever a form calls them, settings end up under AUTOMATIC1111's keys; what has none keeps its own.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

_WEIGHTS = (".safetensors", ".ckpt", ".pth", ".pt", ".sft", ".bin", ".gguf")
_MAX_VALUE = 300  # characters of a value that is shown, not read


@dataclass(frozen=True, kw_only=True)
class Infotext:
    """Parameters taken apart. `fields` holds every setting, known to us or not, by AUTOMATIC1111's keys.

    `program` is whose form it is, where that can be told. Our own braces are arithmetic, `is_ours`; another
    program's are plain text.
    """

    prompt: str = ""
    negative_prompt: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    program: str = ""
    is_ours: bool = False
    remarks: tuple[str, ...] = ()  # what was not read and is no setting, a sentence each


def whole_characters(info: Infotext) -> Infotext:
    """Leave out NULs and halves of characters, which no text field and no browser can hold; say so."""

    def whole(text: str) -> str:
        paired = text.encode("utf-16", errors="surrogatepass").decode("utf-16", errors="ignore")
        return paired.replace("\0", "")

    kept = replace(
        info,
        prompt=whole(info.prompt),
        negative_prompt=whole(info.negative_prompt),
        fields={whole(key): whole(value) for key, value in info.fields.items()},
        remarks=tuple(map(whole, info.remarks)),
    )
    if kept == info:
        return info
    return replace(kept, remarks=(*kept.remarks, "Broken characters in its text are left out."))


def is_off(value: object) -> bool:
    """Tell whether a value says that something is not used."""
    return (
        value is None
        or value is False
        or value in ("", 0, [], {}, "[]", "None", "none", "False", "false", "null")
    )


def as_text(value: object) -> str:
    """Return a value of JSON as an infotext writes it: 20.0 is 20."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}…"
    return str(value)


def rename(
    data: Mapping[str, object], names: Mapping[str, str], without: Iterable[str] = ()
) -> dict[str, str]:
    """Return settings as texts under the names given; others keep theirs, unless they are off."""
    left_out = set(without)
    return {
        names.get(key, key): as_text(value)
        for key, value in data.items()
        if key not in left_out and (key in names or not is_off(value)) and value is not None
    }


def size_text(width: object, height: object) -> dict[str, str]:
    """Return the setting Size, nothing if a side is missing."""
    if is_off(width) or is_off(height):
        return {}
    return {"Size": f"{as_text(width)}x{as_text(height)}"}


def text_of(value: object) -> str:
    """Return a text, or texts in a list one after the other; nothing for anything else."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return ", ".join(filter(None, (text_of(one) for one in value if isinstance(one, str))))
    return ""


def without_ending(name: str) -> str:
    """Return a model's name without the ending of its file."""
    ending = next((one for one in _WEIGHTS if name.lower().endswith(one)), "")
    return name[: len(name) - len(ending)] if len(name) > len(ending) else name


def file_name(value: object) -> str:
    """Return the name of a model's file without folders and ending."""
    return without_ending(PurePosixPath(as_text(value).replace("\\", "/")).name)


def is_same_file(name: str, other: str) -> bool:
    """Tell whether two names mean a file of one name, whatever its folder, ending and case."""
    return bool(other) and file_name(name).casefold() == file_name(other).casefold()


def add_loras(prompt: str, loras: Iterable[tuple[object, object]]) -> str:
    """Add LoRAs, each a file's name and its scales as a tag has them, to a prompt that does not name them."""
    tags = [f"<lora:{file_name(name)}:{as_text(scale)}>" for name, scale in loras if file_name(name)]
    return " ".join([*([prompt] if prompt else []), *(tag for tag in tags if tag not in prompt)])
