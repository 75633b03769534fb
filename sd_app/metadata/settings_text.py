"""AUTOMATIC1111's form of text taken apart: where the settings begin, and what each is.

    PROMPT
    Negative prompt: NEGATIVE
    Steps: 25, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 7, Size: 512x768, Model: ...

Other programs and people's own hands put further lines below the settings, or all of it on one line.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

NEGATIVE = "Negative prompt:"
EXACT_PROMPTS = "Exact prompts"  # our own key: JSON [prompt, negative prompt]
OUR_VERSION = "sd_app "  # with which our value of Version begins
MIN_SETTINGS = 3  # as AUTOMATIC1111: fewer are words of the prompt
_ALWAYS = ("Steps", "Sampler", "CFG scale", "Seed", "Size")  # what any program writes
_LOWER = {key.lower() for key in _ALWAYS}
# Keys with which a line of settings begins. Others may begin a line of a prompt: "photo: ...".
_FIRST = (
    *(*_ALWAYS, "Schedule type", "Scheduler", "Model", "Model hash", "VAE", "Clip skip", "Parser"),
    *("Sampling steps", "Sampling method", "Guidance scale"),
)
# Keys whose values never go on on a further line.
_ONE_LINE = {*_LOWER, *("model", "model hash", "vae", "vae hash", "clip skip", "version", "schedule type")}
_FIRST_KEY = re.compile(rf"(?m)^[ \t]*(?:{'|'.join(_FIRST)}):", re.IGNORECASE)
_INLINE_KEY = re.compile(rf"(?<![\w\-])(?:{'|'.join(_ALWAYS)}):(?=\s)")
# A key begins a piece between commas or line breaks. What it holds is possessive, so that time is linear.
_KEY = re.compile(r"(?:\A|(?<=[,\n]))[ \t\-/]*+(\w[\w \-/]*+):[ \t]*+")
_QUOTED = re.compile(r'"(?:\\.|[^\\"])*+"(?=[ \t]*(?:[,\n]|\Z))', re.DOTALL)
_END = re.compile(r"[ \t]*+(?:[,\n]|\Z)")
_DECIMALS = re.compile(r",\d{1,3}")
_PLAIN = re.compile(r"[^,\n]*+")
_NEGATIVE_LINE = re.compile(r"\Anegative prompt:", re.IGNORECASE)
_LINE_OF_NEGATIVE = re.compile(r"^[ \t]*negative prompt:", re.IGNORECASE | re.MULTILINE)
_NEGATIVE_INLINE = re.compile(r"(?<![ \t,])[ \t,]*+(?<![\w\-])Negative [Pp]rompt:\s*")
_PROMPT_LABEL = re.compile(r"\A(?:Positive )?Prompt:\s*", re.IGNORECASE)
_LOOKED_AT, _TRIES = 20_000, 30  # characters and places that are tried for the beginning of the settings


@dataclass(frozen=True, kw_only=True)
class SettingsText:
    """A text taken apart. `unread` are pieces among the settings that are no setting."""

    prompt: str
    negative_prompt: str
    fields: dict[str, str]
    unread: tuple[str, ...] = ()
    is_ours: bool = False  # written by this app, so its braces are arithmetic


def take_settings_apart(text: str) -> SettingsText:
    """Take any text apart. Without settings all of it is prompts; nothing is refused."""
    text = text.strip()
    start = _start_of_settings(text)
    fields, unread = read_settings(text[start:])
    before = text[:start].removesuffix("\n")
    exact = EXACT_PROMPTS in fields or fields.get("Version", "").startswith(OUR_VERSION)
    prompt, negative_prompt = _split_prompts(before if exact else _on_lines(before))
    return SettingsText(
        prompt=prompt, negative_prompt=negative_prompt, fields=fields, unread=tuple(unread), is_ours=exact
    )


def holds_settings(text: str) -> bool:
    """Tell whether a text is clearly an infotext: at least three settings stand in it."""
    return _start_of_settings(text) < len(text)


def read_settings(text: str) -> tuple[dict[str, str], list[str]]:
    """Read `key: value` pieces between commas and line breaks; also return pieces that are none.

    A value may be quoted as JSON, or be JSON. A piece without a key belongs to the value before it, unless
    that is a number or a sampler's name.
    """
    fields: dict[str, str] = {}
    unread: list[str] = []
    key, end = "", 0
    for match in _keys(text):
        _add_gap(text[end : match.start()], key, fields, unread)
        key = match[1].strip()
        value, end = _value_at(text, match.end())
        if fields.get(key, value) != value:  # the last one counts
            unread.append(f"{key}: {fields[key]}")
        fields[key] = value
    _add_gap(text[end:], key, fields, unread)
    return fields, unread


def _keys(text: str) -> Iterator[re.Match[str]]:
    """Yield the keys that stand outside other values."""
    match = _KEY.search(text)
    while match:
        yield match
        match = _KEY.search(text, _value_at(text, match.end())[1])


def _value_at(text: str, start: int) -> tuple[str, int]:
    """Return the value that begins there, and where it ends."""
    if quoted := _QUOTED.match(text, start):
        try:
            return str(json.loads(quoted[0], strict=False)), quoted.end()
        except ValueError:
            return quoted[0], quoted.end()
    if text[start : start + 1] in ("{", "["):
        try:
            end = json.JSONDecoder().raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            end = start
        if end > start and _END.match(text, end):
            return text[start:end], end
    plain = _PLAIN.match(text, start)
    assert plain
    return plain[0].strip(), plain.end()


def _add_gap(gap: str, key: str, fields: dict[str, str], unread: list[str]) -> None:
    """Give what stands between two settings to the value before it, or name it."""
    rest = gap.strip(", \t\r\n")
    if not rest:
        return
    if key.lower() == "cfg scale" and _DECIMALS.fullmatch(gap.rstrip(", \n")) and fields[key].isdecimal():
        fields[key] += gap.rstrip(", \n")  # 7,5 as much of Europe writes it
    elif not key or key.lower() in _LOWER:
        unread.append(rest)
    elif key.lower() in _ONE_LINE and "\n" in gap:
        more, _, below = gap.partition("\n")
        fields[key] = f"{fields[key]}{more.rstrip(', ')}"
        unread.append(below.strip(", \n"))
    else:
        fields[key] = f"{fields[key]}{gap.rstrip(', ')}"


def _start_of_settings(text: str) -> int:
    """Return where the settings begin, the text's length if there are none.

    They are the last line that begins with a well-known key and holds at least three settings with all that
    follows it; lines above it that hold one setting each belong to them. Else they begin within a line.
    """
    starts = [match.start() for match in _FIRST_KEY.finditer(text)]
    for count, start in enumerate(reversed(starts[-_TRIES:]), 1):
        fields = _fields_in(text[start : start + _LOOKED_AT])
        if _LINE_OF_NEGATIVE.search(text, start):  # which stands before the settings, never behind
            break
        if len(fields) >= MIN_SETTINGS and _usual_in(fields):
            return _with_lines_above(text, starts[:-count], start, set(fields))
    for match in reversed(list(_INLINE_KEY.finditer(text))[-_TRIES:]):
        fields = _fields_in(text[match.start() : match.start() + _LOOKED_AT])
        if len(fields) >= MIN_SETTINGS and _usual_in(fields) > 1:
            return _earliest_inline(text, match.start(), set(fields))
    return len(text)


def _usual_in(fields: dict[str, str]) -> int:
    """Return how many of the settings that any program writes are there, in any spelling."""
    return len(_LOWER.intersection(key.lower() for key in fields))


def _fields_in(text: str) -> dict[str, str]:
    return read_settings(text)[0]


def _with_lines_above(text: str, above: list[int], start: int, seen: set[str]) -> int:
    """Take in the lines directly above that hold further settings: one each, or a row that was broken up."""
    for line_start in reversed(above[-_TRIES:]):
        line = text[line_start:start].rstrip("\n")
        fields, unread = read_settings(line)
        is_row = len(fields) == 1 or (_usual_in(fields) > 1 and line.rstrip().endswith(","))
        if "\n" in line or not is_row or unread or seen & set(fields):
            break
        start = line_start
        seen |= set(fields)
    return start


def _earliest_inline(text: str, start: int, seen: set[str]) -> int:
    """Return where the run of settings begins, within its line, that goes on at `start`."""
    line_start = max(text.rfind("\n", 0, start) + 1, start - _LOOKED_AT)
    for match in reversed(list(_INLINE_KEY.finditer(text, line_start, start))[-_TRIES:]):
        fields, unread = read_settings(text[match.start() : start])
        if unread or seen & set(fields):
            break
        start = match.start()
        seen |= set(fields)
    return start


def _on_lines(text: str) -> str:
    """Put another program's negative prompt on a line of its own that begins as AUTOMATIC1111's does."""
    text = text.rstrip(" ,\n")
    if _PROMPT_LABEL.match(text) and NEGATIVE.lower() in text.lower():
        text = _PROMPT_LABEL.sub("", text, count=1)
    if any(_NEGATIVE_LINE.match(line.strip()) for line in text.split("\n")):
        return "\n".join(_NEGATIVE_LINE.sub(NEGATIVE, line.strip(), count=1) for line in text.split("\n"))
    return _NEGATIVE_INLINE.sub(f"\n{NEGATIVE} ", text, count=1)


def _split_prompts(text: str) -> tuple[str, str]:
    """Split what stands before the settings, line by line as AUTOMATIC1111 does."""
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in map(str.strip, text.split("\n")):
        if line.startswith(NEGATIVE):
            current = negative
            line = line.removeprefix(NEGATIVE).strip()
        if current or line:  # as in A1111, lines before the first words leave no trace
            current.append(line)
    return "\n".join(prompt), "\n".join(negative)
