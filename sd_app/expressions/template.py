"""A prompt taken apart at its slots."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

from .parser import Parser
from .tags import TAG
from .tree import Node, Slot

# Prompts to encode for one: with two slots, every phrase of one meets every phrase of the other.
MAX_TEXTS = 64
MAX_SLOTS = 16


@dataclass(frozen=True, kw_only=True)
class Template:
    """A prompt taken apart: `texts[i]` stands before slot i, the last text after the last slot."""

    texts: tuple[str, ...]
    slots: tuple[Slot, ...]

    @property
    def space(self) -> str:
        """Return the space that all slots are worked out in; "all" without slots."""
        return self.slots[0].space if self.slots else "all"

    @property
    def first_phrases(self) -> tuple[str, ...]:
        """Return the first phrase of every slot: the words that hold its place."""
        return tuple(slot.phrases[0] for slot in self.slots)

    @property
    def num_texts(self) -> int:
        """Return how many texts are encoded for it."""
        counts = [len(slot.phrases) for slot in self.slots]
        return prod(counts) if self.space == "all" else sum(counts)

    def fill(self, phrases: tuple[str, ...]) -> str:
        """Return the prompt with a phrase in each slot's place; fewer phrases give its beginning."""
        text = self.texts[0]
        for number, phrase in enumerate(phrases):
            text += phrase
            if number + 1 < len(phrases) or len(phrases) == len(self.slots):
                text += self.texts[number + 1]
        return text


def has_slots(prompt: str) -> bool:
    """Tell whether a prompt holds a slot. Raise ExpressionError if one is wrong."""
    return "{" in prompt and bool(parse_prompt(prompt).slots)


def place_text(prompt: str) -> str:
    """Return a prompt as a text: of every slot the first phrase, which holds its place."""
    if "{" not in prompt:
        return prompt
    template = parse_prompt(prompt)
    return template.fill(template.first_phrases)


@lru_cache(maxsize=256)
def parse_prompt(prompt: str, name: str = "prompt") -> Template:
    """Take a prompt apart at its slots. Escapes and weights outside them are left as they are.

    Raise ExpressionError, which names the place, the rule and a remedy.
    """
    texts: list[str] = []
    slots: list[Slot] = []
    begin = position = 0
    while position < len(prompt):
        if prompt[position] != "{":
            position += 2 if prompt[position] == "\\" else 1
            continue
        parser = Parser(name, prompt, position + 1)
        slot, end = parser.slot()
        if slots and slot.space != slots[0].space:
            raise parser.error(position, "must have all slots in one space", f"write {slots[0].space}:")
        if tag := TAG.search(prompt, position, end):
            raise parser.error(
                tag.start(), "must not have a LoRA in braces", "it counts for all: put it outside"
            )
        if len(slots) == MAX_SLOTS:
            raise parser.error(position, f"must have at most {MAX_SLOTS} slots", "leave some out")
        texts.append(prompt[begin:position])
        slots.append(slot)
        begin = position = end
    template = Template(texts=(*texts, prompt[begin:]), slots=tuple(slots))
    if template.num_texts > MAX_TEXTS:
        raise ValueError(
            f"{name} must need at most {MAX_TEXTS} texts, got {template.num_texts:,}: in the all space each"
            " phrase of one slot meets every one of the others (use fewer phrases)"
        )
    return template


def parse_expression(text: str, name: str) -> Node:
    """Read a text that is one expression without braces. Raise ExpressionError."""
    parser = Parser(name, text, 0)
    return parser.whole()
