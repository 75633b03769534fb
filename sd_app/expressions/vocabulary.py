"""Which words of a prompt a model never saw in training, where it is known which words it saw.

Plural and possessive count as the word itself, and so do the forms of a verb: cats, cat's, painted beside
painting. A word in two parts is known where both are.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from .editing import readings
from .misread import shown
from .tags import TAG
from .template import parse_prompt

_ANY_STEPS = 100  # where it is not known how many a run has
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NAME = re.compile(r"<([^<>]*)>")
_BREAK = re.compile(r"\bBREAK\b")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_VOWEL = "aeiouy"
MAX_NAMED = 12  # words that one sentence names


def words_in(text: str) -> list[str]:
    """Return a text's words in small letters, in their order; numbers are none."""
    found = (word.casefold().replace("’", "'") for word in _WORD.findall(text))
    return [word for word in found if any(char.isalpha() for char in word)]


def unseen_words(
    prompt: str,
    known_words: Collection[str],
    *,
    steps: int | None = None,
    negative: bool = False,
    learned: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the words of a prompt that are no form of a known one, each once, in small letters.

    `learned` are names of learned words and trigger words, in small letters: these are known. All texts that
    the prompt becomes on the way count, and all phrases in braces; tags and weights are no words. Without
    known words nothing is known of any, and none is returned. Raise ValueError for a prompt that cannot be
    read.
    """
    if not known_words:
        return ()
    known = _known_forms(tuple(known_words))
    taught = frozenset(word for text in learned for word in words_in(text))
    texts = dict.fromkeys(
        text
        for reading in readings(prompt, steps or _ANY_STEPS, joins=not negative)
        for text in reading.texts
    )
    plain = (_without_names(part, learned) for text in texts for part in _parts(text))
    words = dict.fromkeys(word for part in plain for word in words_in(part))
    return tuple(word for word in words if word not in taught and not _is_known(word, known))


def unseen_sentence(model: str, words: Sequence[str]) -> str:
    """Say which words a model never saw in training; "" if there are none."""
    if not words:
        return ""
    named = ", ".join(map(shown, words[:MAX_NAMED]))
    more = f" and {len(words) - MAX_NAMED} more" if len(words) > MAX_NAMED else ""
    what, them = ("this word", "it") if len(words) == 1 else ("these words", "them")
    return f"{model} never saw {what} in training and cannot draw {them}: {named}{more}."


def _parts(text: str) -> Iterator[str]:
    """Yield what stands outside of braces, and every phrase inside."""
    template = parse_prompt(text)
    yield from template.texts
    for slot in template.slots:
        yield from slot.phrases


def _without_names(text: str, learned: Collection[str]) -> str:
    """Return a text without tags, BREAK, the backslash of what is escaped, and names of learned words."""
    plain = TAG.sub(" ", text)
    plain = _NAME.sub(lambda match: " " if match[1].casefold() in learned else match[0], plain)
    return _ESCAPE.sub(r"\1", _BREAK.sub(" ", plain))


@lru_cache(maxsize=16)
def _known_forms(known_words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(form for text in known_words for word in words_in(text) for form in _forms(word))


def _is_known(word: str, known: frozenset[str]) -> bool:
    if not known.isdisjoint(_forms(word)):
        return True
    parts = word.split("-")
    return len(parts) > 1 and all(_is_known(part, known) or not part.isalpha() for part in parts)


def _forms(word: str) -> Iterator[str]:
    """Yield a word and what it may be a form of: cats -> cat, puppies -> puppy, painted -> paint."""
    yield word
    bare = re.sub(r"(?<=s)'$|'s$", "", word)
    yield bare
    if bare.endswith("s") and not bare.endswith("ss") and len(bare) > 3:
        yield bare[:-1]
        if bare.endswith("ies"):
            yield f"{bare[:-3]}y"
        elif re.search(r"(s|x|z|ch|sh|o)es$", bare):
            yield bare[:-2]
    for ending in ("ing", "ed"):
        if bare.endswith(ending):
            yield from _verbs(bare.removesuffix(ending))


def _verbs(stem: str) -> Iterator[str]:
    """Yield the verbs that a stem before -ing or -ed is of: box -> box; starr -> star; stat -> state."""
    if len(stem) < 3 or not any(char in _VOWEL for char in stem):
        return
    yield f"{stem}e"
    if stem[-1] == stem[-2]:
        yield stem[:-1]  # star, of starr(ed)
    short = len(stem) <= 4 and stem[-1] not in "wxy" and stem[-1] not in _VOWEL and stem[-2] in _VOWEL
    if not (short and stem[-3] not in _VOWEL):  # starring is of star, staring is not
        yield stem
