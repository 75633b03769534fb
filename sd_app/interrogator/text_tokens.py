"""Phrases as CLIP's token ids: quick for plain text, and joined without reading the prefix again."""

from collections.abc import Sequence

from open_clip.tokenizer import SimpleTokenizer

from .search import SEPARATOR


class PhraseTokenizer:
    """Token ids of open_clip's SimpleTokenizer, start and end tokens left out.

    Text of printable ASCII without `&` and `<` is plain: ftfy and HTML leave it alone, so that only its words
    count, and those are remembered. Everything else goes through the tokenizer's own encode.
    """

    def __init__(self, tokenizer: SimpleTokenizer) -> None:
        self._tokenizer = tokenizer
        self._words: dict[str, tuple[int, ...]] = {}
        self.start: int = tokenizer.sot_token_id
        self.end: int = tokenizer.eot_token_id

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the ids of a text, however long."""
        if not is_plain(text):
            return tuple(self._tokenizer.encode(text))
        ids: list[int] = []
        for word in self._tokenizer.pat.findall(text.lower()):
            if word not in self._words:
                self._words[word] = tuple(self._tokenizer.encode(word))
            ids += self._words[word]
        return tuple(ids)

    def encode_after(self, prefix: str, candidates: Sequence[str]) -> list[tuple[int, ...] | None]:
        """Return for each candidate the ids that follow those of "prefix," in "prefix, candidate".

        None where the joined text is not read as its two parts, since repairs of a text look at the whole.
        White space always parts tokens, so plain text needs no check.
        """
        head = self.encode(prefix + ",")
        plain_prefix = is_plain(prefix)
        found: list[tuple[int, ...] | None] = []
        for candidate in candidates:
            ids = self.encode(candidate)
            exact = plain_prefix and is_plain(candidate)
            if not exact:
                exact = self.encode(prefix + SEPARATOR + candidate) == head + ids
            found.append(ids if exact else None)
        return found


def is_plain(text: str) -> bool:
    """Tell whether cleaning leaves a text as it is, but for white space and case."""
    return text.isascii() and text.isprintable() and "&" not in text and "<" not in text
