"""What a text holds that is read as plain words, or not closed, though its writer may mean more by it."""

import re
from collections.abc import Collection, Iterable, Iterator

from .tags import TAG

MAX_SHOWN = 60  # characters of a prompt's piece

_ESCAPED = re.compile(r"\\.", re.DOTALL)
_SLOT = re.compile(r"(?<!\$)\{[^{}]*\}")  # a variable's own braces are looked at
_ROUND = re.compile(r"\(|:\s*[+-]?[\d.]+\s*\)|\)")
_SQUARE = re.compile(r"[\[\]]")
_NAME = re.compile(r"<([A-Za-z][\w.-]*)>")
# Of two parts of one bracket with a colon the last is no number, or there are too many.
_NO_SWITCH = re.compile(r"\[[^\[\]:]*:[^\[\]]*\]")
# Not of 16:9, 12:30 or f:1.8; a whole number only close to its colon.
_WEIGHT = re.compile(r"(?<![\d\s])(?<!\bf)\s*:(?:\s*[+-]?\d?[.,]\d+|[+-]?[0-2])(?=[\s,;:|)\]]|$)")

# What other programs know and this one does not: a pattern, and what it is there.
_STRANGE = (
    (r"<\w[^<>:]*:[^<>]*>|<\s+(?:lora|lyco)\s*:[^<>]*>", "a tag that is not known here"),
    (r"<(?:lora|lyco|hypernet):[^<>]*$", "a tag without its end, >"),
    (r"\$\{[^{}]*\}|(?<!\w)\$[A-Za-z_]\w*", "a variable in other programs"),
    (r"(?<!\w)%[A-Za-z]\w*%(?!\w)", "a wildcard in other programs"),
    (r"\bembedding:\s*[\w.-]+", "ComfyUI's way to name a learned word, which is <name> here"),
    # Not of C++, 18+ or A+.
    (r"(?<=[a-z)])\+{1,5}(?=[\s,.)]|$)", "InvokeAI's weight, which is (word:1.1) here"),
    (r"(?<=[\w)])-{2,5}(?=[\s,.)]|$)", "InvokeAI's weight, which is (word:1.1) here"),
    (r"(?<=[\w)\"])\.(?:swap|blend|and)\(|\)\d*\.\d+", "InvokeAI's syntax"),
    (r"(?<!\S)--[a-z]\w*", "an option of other programs"),
    (r"(?<=\w)::(?:-?\d*\.?\d+)?(?=[\s,]|$)", "another program's weight, which is (word:1.1) here"),
    (r"\bAND_\w+|\bADD(?:COMM|BASE|ROW|COL)\b", "an extension's order"),
    (
        r"（[^（）()]*[:：]\s*[\d.]+\s*[）)]|\([^（）()]*：\s*[\d.]+\s*[）)]",
        "a weight in full-width characters, which is (word:1.1) here",
    ),
    (r"\b(?:STYLE|I?MASK|AREA|FEATHER|COUPLE|FILL|SEQ|CUT|NOISE|SHIFT)\(", "an extension's order"),
    (r"(?m)^[ \t]*#[ \t].*$|/\*.*?\*/", "a comment in other programs"),
)


def misread(
    text: str, known_words: Collection[str] | None = None, *, check_brackets: bool = True
) -> Iterator[str]:
    """Yield sentences on one of the texts that a prompt becomes.

    With the names of the learned words that there are, in small letters, those of others are named too.
    Without check_brackets nothing is said of those that are never closed.
    """
    # Each is replaced by as many characters, so that places stay what they are. What is escaped is no space:
    # nothing ends there.
    plain = _ESCAPED.sub("\0\0", text)
    for pattern in (TAG, _SLOT):
        plain = pattern.sub(lambda match: " " * len(match[0]), plain)
    for strange, what in _STRANGE:
        for match in re.finditer(strange, plain):
            yield f"{shown(match[0])} is read as plain words: it is {what}."
        # Brackets stay, for those below.
        plain = re.sub(strange, lambda match: re.sub(r"[^()\[\]]", " ", match[0]), plain)
    for match in _NAME.finditer(plain) if known_words is not None else ():
        if match[1].lower() not in (known_words or ()):
            yield f"{shown(match[0])} is read as plain words: no learned word of this name is there."
    plain, unclosed = _take_brackets(plain)
    for match in _NO_SWITCH.finditer(plain):
        if not re.search(r"\w", match[0]):
            continue
        yield (
            f"{shown(match[0])} does not change on the way: that takes one or two colons and a number"
            " last, as in [cat:dog:0.5]."
        )
    plain = _NO_SWITCH.sub(" ", plain)
    for match in _WEIGHT.finditer(plain):
        yield (
            f"{shown(match[0])} is read as plain words: a weight stands last in brackets, as in (cat:1.2),"
            " and a prompt has a weight only beside AND."
        )
    for place in unclosed if check_brackets else ():
        if re.search(r"\w", plain[place:]):
            yield (
                f"{shown(text[place:])} begins with a bracket that is never closed, so it weighs all that"
                f" follows (\\{text[place]} is a plain one)."
            )
            break


def is_wordless(text: str) -> bool:
    """Tell whether nothing of a text is read: it holds spaces, tags, brackets with their weights, BREAK."""
    plain, unclosed = _take_brackets(TAG.sub(" ", _ESCAPED.sub("x ", text)))
    brackets = _closed(_SQUARE, plain)[0].union(unclosed)
    left = "".join(char for place, char in enumerate(plain) if place not in brackets)
    return not re.sub(r"\bBREAK\b", " ", left).strip()


def cuts_brackets(texts: Iterable[str]) -> bool:
    """Tell whether a bracket is opened in one text and closed in a later one."""
    opened: set[str] = set()
    for text in texts:
        plain = _ESCAPED.sub("  ", text)
        for kind in (_ROUND, _SQUARE):
            _, unclosed, unopened = _closed(kind, plain)
            if unopened and kind.pattern in opened:
                return True
            if unclosed:
                opened.add(kind.pattern)
    return False


def _take_brackets(text: str) -> tuple[str, list[int]]:
    """Blank the round brackets that are closed, with their weights; return where any bracket stays open."""
    places, unclosed, _ = _closed(_ROUND, text)
    plain = "".join(" " if place in places else char for place, char in enumerate(text))
    return plain, sorted(unclosed + _closed(_SQUARE, plain)[1])


def _closed(kind: re.Pattern[str], text: str) -> tuple[set[int], list[int], list[int]]:
    """Match brackets of one kind: return the places of those that have a partner, of openers, of closers."""
    places: set[int] = set()
    opened: list[int] = []
    unopened: list[int] = []
    for mark in kind.finditer(text):
        if mark[0] in "([":
            opened.append(mark.start())
        elif opened:
            places |= {opened.pop(), *range(*mark.span())}
        else:
            unopened.append(mark.start())
    return places, opened, unopened


def shown(text: str) -> str:
    """Return a piece of a prompt in quotes, on one line, not too long."""
    text = " ".join(text.split())
    return f"“{text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + '…'}”"
