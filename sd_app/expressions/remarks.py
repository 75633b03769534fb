"""What is said of a prompt beside drawing it: what it holds that is read as plain words, or not at all."""

import re
from collections.abc import Iterator

from .editing import Pieces, Switch, changes, every_switch, readings
from .tags import TAG, is_lora, remove_tags
from .template import parse_prompt
from .tree import sum_of_weights

NO_WORDS_GUIDE = "No words guide this picture: the prompt is empty."
ABOUT_ONE = (0.9, 1.1)  # sums of weights at which a prompt's rows keep their size, more or less
_MAX_SHOWN = 60  # characters of a prompt's piece
_MAX_REMARKS = 8
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_SLOT = re.compile(r"\{[^{}]*\}")

# What other programs know and this one does not: a pattern, and what it is there.
_STRANGE = (
    (r"<\w[\w-]*:[^<>]*>", "a tag that is not known here"),
    (r"(?<!\w)__[\w\-/*.]+__(?!\w)", "a wildcard in other programs"),
    (r"\$\{[^{}]*\}|(?<!\w)\$\w+", "a variable in other programs"),
    (r"(?<!\w)%[A-Za-z]\w*%(?!\w)", "a wildcard in other programs"),
    (r"\bembedding:\s*[\w.-]+", "ComfyUI's way to name a learned word, which is <name> here"),
    (r"(?<=[\w)])(?:\+{1,5}|-{2,5})(?=[\s,.)]|$)", "InvokeAI's weight, which is (word:1.1) here"),
    (r"\)\.(?:swap|blend|and)\(|\)\d*\.\d+", "InvokeAI's syntax"),
    (r"(?<!\S)--[a-z]\w*", "an option of other programs"),
    (r"(?<=\w)::-?\d*\.?\d*", "another program's weight, which is (word:1.1) here"),
    (r"\bAND_\w+|\bADD(?:COMM|BASE|ROW|COL)\b", "an extension's order"),
)


def remarks_on(
    prompt: str, *, steps: int, steps_run: int | None = None, negative: bool = False
) -> tuple[str, ...]:
    """Return sentences on a prompt that can be read, for a run of so many of `steps` steps; most have none.

    Raise ValueError for one that cannot be read.
    """
    found = list(dict.fromkeys(_remarks(prompt, steps, steps_run or steps, negative)))
    if len(found) > _MAX_REMARKS:
        found[_MAX_REMARKS:] = [f"And {len(found) - _MAX_REMARKS} more of this kind."]
    return tuple(found)


def _remarks(prompt: str, steps: int, steps_run: int, negative: bool) -> Iterator[str]:
    words = remove_tags(prompt)
    if not words.strip() and not negative:
        yield NO_WORDS_GUIDE
    for tag in TAG.finditer(prompt):
        if not is_lora(tag):
            yield f"{_shown(tag[0])} is not read: hypernetworks do nothing here."
    plain = _ESCAPED.sub("  ", words)
    # Of what stands in braces only a variable's own braces are looked at.
    outside = re.sub(r"(?<!\$)" + _SLOT.pattern, " ", plain)
    for pattern, what in _STRANGE:
        for match in re.finditer(pattern, outside):
            yield f"{_shown(match[0])} is read as plain words: it is {what}."
    if negative and re.search(r"\bAND\b", plain):
        yield "AND joins prompts in the prompt only; in the negative one it is a word."
    if not negative and (weight := re.search(r"(?<!\d):\s*-?\d*\.?\d+\s*$", outside)) and not changes(prompt):
        yield f"{_shown(weight[0])} at the end is read as plain words: a prompt has a weight only beside AND."
    yield from _on_switches(prompt, steps, steps_run, negative)
    yield from _on_sums(prompt, steps, negative)


def _on_switches(prompt: str, steps: int, steps_run: int, negative: bool) -> Iterator[str]:
    found = list(every_switch(prompt, joins=not negative))
    if any(is_lora(tag) for one in found for text in _texts(one) for tag in TAG.finditer(text)):
        yield "A LoRA in square brackets counts at all steps."
    for one in found:
        if not isinstance(one, Switch):
            continue
        last = one.last_step(steps)
        if last >= steps_run and _flat(one.after).strip():
            yield f"{_shown(_flat(one.after))} is never read: it begins after step {last} of {steps_run}."
        if not last and _flat(one.before).strip():
            yield f"{_shown(_flat(one.before))} is never read: it ends before the first step."


def _on_sums(prompt: str, steps: int, negative: bool) -> Iterator[str]:
    """Say which slots of the all space make a prompt's rows larger or smaller, and what helps."""
    for reading in dict.fromkeys(readings(prompt, steps, joins=not negative)):
        for text in reading.texts:
            template = parse_prompt(text)
            for slot in template.slots:
                total = sum_of_weights(slot.expression)
                if slot.space == "all" and not ABOUT_ONE[0] <= total <= ABOUT_ONE[1]:
                    yield sum_remark(total)


def sum_remark(total: float) -> str:
    """Return the sentence on weights that do not add up to about 1."""
    added = f"The weights in braces add up to {total:.3g}"
    if abs(total) < 0.05:
        return f"{added}, so little of the prompt's own size is left."
    return (
        f"{added}, so every row of the prompt is that many times as large, which can spoil the picture"
        f" (divide by {total:.3g}, or compute in the row space)."
    )


def _texts(one: object) -> Iterator[str]:
    parts = (one.before, one.after) if isinstance(one, Switch) else getattr(one, "options", ())
    for part in parts:
        yield _flat(part)


def _flat(pieces: Pieces) -> str:
    return "".join(piece if isinstance(piece, str) else "…" for piece in pieces)


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + '…'}”"
