"""What is said of a prompt beside drawing it: what it holds that is read as plain words, or not at all."""

import re
from collections.abc import Collection, Iterator, Sequence

from .editing import Joined, Pieces, Switch, changes, every_switch, parse_joined, readings
from .misread import cuts_brackets, is_wordless, misread, shown
from .tags import TAG, is_lora, remove_tags
from .template import parse_prompt
from .tree import sum_of_weights

NO_WORDS_GUIDE = "No words guide this picture: the prompt is empty."
NO_WORDS_READ = "No words guide this picture: nothing in the prompt is read as words."
ABOUT_ONE = (0.9, 1.1)  # sums of weights at which a prompt's rows keep their size, more or less
_MAX_REMARKS = 8
_BAR = re.compile(r"(?<!\\)\|")
_ANY_STEPS = 100  # where it is not known how many a run has: shares of them are all told apart


def remarks_on(
    prompt: str,
    *,
    steps: int | None,
    steps_run: int | None = None,
    negative: bool = False,
    known_words: Collection[str] | None = None,
) -> tuple[str, ...]:
    """Return sentences on a prompt that can be read, for a run of so many of `steps` steps; most have none.

    `steps` None: not known, so nothing is said of what is never reached. `known_words` are the names of the
    learned words, in small letters, if they are known. Raise ValueError for a prompt that cannot be read.
    """
    found = list(dict.fromkeys(_remarks(prompt, steps or _ANY_STEPS, negative, known_words)))
    found += dict.fromkeys(_on_switches(prompt, steps, steps_run or steps, negative))
    found += dict.fromkeys(_on_slots(prompt, steps or _ANY_STEPS, negative))
    if len(found) > _MAX_REMARKS:
        found[_MAX_REMARKS:] = [f"And {len(found) - _MAX_REMARKS} more of this kind."]
    return tuple(found)


def _remarks(prompt: str, steps: int, negative: bool, known_words: Collection[str] | None) -> Iterator[str]:
    for tag in TAG.finditer(prompt):
        if not is_lora(tag):
            yield f"{shown(tag[0])} is not read: hypernetworks do nothing here."
    texts = dict.fromkeys(
        text for reading in readings(prompt, steps, joins=not negative) for text in reading.texts
    )
    if all(map(is_wordless, texts)):
        if not negative:
            yield NO_WORDS_READ if remove_tags(prompt).strip() else NO_WORDS_GUIDE
        return
    if negative and any(re.search(r"\bAND\b", text) for text in texts):
        yield "AND joins prompts in the prompt only; in the negative one it is a word."
    parts = () if negative else parse_joined(prompt)
    is_cut = cuts_brackets(_flat(part.pieces) for part in parts)
    if is_cut:
        yield (
            "AND stands in brackets, which it takes apart: give each prompt its own, as in (a cat:1.2) AND"
            " (a dog:0.8)."
        )
    if len(parts) > 1:
        yield from _on_parts(parts)
    for text in texts:
        yield from misread(text, known_words, check_brackets=not is_cut)


def _on_parts(parts: Sequence[Joined]) -> Iterator[str]:
    for part in parts:
        text = _flat(part.pieces)
        if not part.weight:
            yield f"{shown(text)} counts for nothing: its weight beside AND is 0."
        elif is_wordless(text):
            yield "One of the prompts that AND joins is empty: it pulls towards no words."


def _on_switches(prompt: str, steps: int | None, steps_run: int | None, negative: bool) -> Iterator[str]:
    found = list(every_switch(prompt, joins=not negative))
    if any(is_lora(tag) for one in found for text in _texts(one) for tag in TAG.finditer(text)):
        yield "A LoRA in square brackets counts at all steps."
    for one in found:
        if not isinstance(one, Switch):
            continue
        for text in _texts(one):
            if _BAR.search(text):
                yield (
                    f"The bar in {shown(text)} is a plain character: brackets with a number change once,"
                    " those with bars alone take turns."
                )
        if steps is None or steps_run is None:
            continue
        last = one.last_step(steps)
        if last >= steps_run and _flat(one.after).strip():
            yield f"{shown(_flat(one.after))} is never read: it begins after step {last} of {steps_run}."
        if not last and _flat(one.before).strip():
            yield f"{shown(_flat(one.before))} is never read: it ends before the first step."


def _on_slots(prompt: str, steps: int, negative: bool) -> Iterator[str]:
    """Say what a slot does not do, and which ones of the all space make a prompt's rows larger or smaller."""
    for reading in dict.fromkeys(readings(prompt, steps, joins=not negative)):
        for text in reading.texts:
            template = parse_prompt(text)
            for slot in template.slots:
                for phrase in slot.phrases:
                    if "{" not in phrase and changes(phrase):
                        yield (
                            f"{shown(phrase)} in braces is read as it stands: put what changes, or AND,"
                            " around them, as in [{cat}:{dog}:0.5]."
                        )
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
