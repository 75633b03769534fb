"""What two pictures' parameters have in common, and where they differ."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..metadata import parse_infotext


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A parameter that differs; a text is empty where the picture does not say it."""

    key: str
    first: str
    second: str


def differences(first: str, second: str) -> tuple[Difference, ...]:
    """Return the parameters in which two infotexts differ, prompts first, in the order they stand there."""
    one, two = _parameters_of(first), _parameters_of(second)
    return tuple(
        Difference(key=key, first=one.get(key, ""), second=two.get(key, ""))
        for key in {**one, **two}
        if one.get(key, "") != two.get(key, "")
    )


def _parameters_of(infotext: str) -> Mapping[str, str]:
    """Return all that an infotext says by name; of a text in no known form nothing."""
    if not infotext.strip():
        return {}
    try:
        info = parse_infotext(infotext)
    except ValueError:
        return {"Parameters": infotext}
    return {"Prompt": info.prompt, "Negative prompt": info.negative_prompt, **info.fields}
