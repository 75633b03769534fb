"""Another program's prompt in our grammar: what would mean something else here is plain text, and is said."""

import re

from ..expressions.escaping import escape_braces, escape_wildcards
from ..expressions.tags import TAG, find_tags

_ANY_TAG = re.compile(r"<(\w[\w\-]*):([^<>]*)>")
_EMBEDDING = re.compile(r"\bembedding:\s*([\w\-. ]+?)(?=[,:()\[\]\n]|\Z)")
# Programs whose prompts know round brackets alone.
_ROUND_ONLY = {"ComfyUI", "InvokeAI"}
_SQUARE = re.compile(r"\\.|[\[\]]", re.DOTALL)
_ORDER = re.compile(r"\b(?:AND|BREAK)\b")
_WILDCARD = re.compile(r"(?<!\w)__[\w\-/]+__(?!\w)")
_MAX_SHOWN = 80  # characters of a tag


def translate_prompt(prompt: str, *, negative: bool = False, program: str = "") -> tuple[str, list[str]]:
    """Return a prompt that our grammar reads as its program meant it, and remarks on what is not read."""
    remarks: list[str] = []
    if program in _ROUND_ONLY and (plain := _plain_squares(prompt)) != prompt:
        prompt = plain
        remarks.append("Square brackets, AND and BREAK in its prompt are read as plain words.")
    text = _ANY_TAG.sub(lambda tag: _read_tag(tag, negative, remarks), prompt)
    text = _check_all_tags(text, remarks)
    text = text.strip() if text != prompt else text
    text, embeddings = _EMBEDDING.subn(lambda match: _stem(match[1]), text)
    if embeddings:
        remarks.append("Embeddings are called by their names alone here, so the word embedding: is left out.")
    escaped = escape_braces(text)
    if escaped != text:
        remarks.append("Braces in its prompt are read as plain text.")
    plain = escape_wildcards(escaped)
    if plain != escaped and (wildcard := _WILDCARD.search(text)):
        remarks.append(f"The wildcard {wildcard[0][:_MAX_SHOWN]} is read as plain text.")
    return plain, remarks


def _plain_squares(prompt: str) -> str:
    """Escape square brackets, and write AND and BREAK small, which to CLIP is the same word."""
    text = _SQUARE.sub(lambda mark: mark[0] if len(mark[0]) > 1 else f"\\{mark[0]}", prompt)
    return _ORDER.sub(lambda order: order[0].lower(), text)


def _stem(name: str) -> str:
    return re.sub(r"\.(?:pt|safetensors|bin)$", "", name.strip())


def _read_tag(tag: re.Match[str], negative: bool, remarks: list[str]) -> str:
    """Return what a tag becomes: itself, as much of it as can be read, or nothing."""
    whole, kind = tag[0], tag[1].lower()
    if kind not in ("lora", "lyco"):
        remarks.append(f"The tag {whole[:_MAX_SHOWN]} is not read here.")
        return ""
    if negative:
        remarks.append(f"The tag {whole[:_MAX_SHOWN]} is not read in a negative prompt.")
        return ""
    pieces = tag[2].split(":")
    for count in range(len(pieces), 0, -1):
        word = tag[1] if TAG.fullmatch(whole) else "lora"
        short = f"<{word}:{':'.join(pieces[:count])}>"
        try:
            find_tags(short)
        except ValueError:
            continue
        if count < len(pieces):
            remarks.append(f"Of the tag {whole[:_MAX_SHOWN]} only {short[:_MAX_SHOWN]} is read.")
        return short
    remarks.append(f"The tag {whole[:_MAX_SHOWN]} is not read here.")
    return ""


def _check_all_tags(text: str, remarks: list[str]) -> str:
    """Leave the tags out if each can be read but not all of them together."""
    try:
        find_tags(text)
    except ValueError:
        remarks.append(f"Its tags are left out: {len(TAG.findall(text))} ask for too much in all.")
        return TAG.sub("", text)
    return text
