"""The lines below the fields that hold expressions: what was read, or what is wrong and where."""

import html
from collections.abc import Collection
from typing import Any

from ...checkpoints.model_info import ModelInfo
from ...expressions import iterate_words, parse_expression
from ...expressions.remarks import remarks_on
from ...expressions.vocabulary import unseen_sentence, unseen_words
from ...requests import MAX_PROMPT, BlendRequest
from ..shared.controls import remark_span
from ..shared.errors import sentence

MAX_PHRASES_SHOWN = 8


def expression_line(name: str, text: object) -> str:
    """Return the line below an expression: its phrases, or the mistake with a caret; nothing for no text."""
    if not isinstance(text, str) or not text.strip():
        return ""
    if len(text) > MAX_PROMPT:
        return mistake(ValueError(f"{name} must have at most {MAX_PROMPT:,} characters (shorten it)"))
    try:
        node = parse_expression(text, name)
    except ValueError as error:
        return mistake(error)
    phrases = list(dict.fromkeys(words.text for words in iterate_words(node)))
    shown = " · ".join(f"<b>{html.escape(phrase[:40])}</b>" for phrase in phrases[:MAX_PHRASES_SHOWN])
    more = " …" if len(phrases) > MAX_PHRASES_SHOWN else ""
    return f"<span>{len(phrases)} phrase{'' if len(phrases) == 1 else 's'}: {shown}{more}</span>"


def unseen_span(text: object, model: ModelInfo | None, learned: Collection[str]) -> str:
    """Return the remark on an expression's words that a model never saw, "" without any."""
    if model is None or not isinstance(text, str) or not text.strip() or len(text) > MAX_PROMPT:
        return ""
    try:
        words = unseen_words(f"{{{text}}}", model.known_words, learned=learned)
    except ValueError:
        return ""  # said by the line itself
    sentence_on = unseen_sentence(model.name, words)
    return remark_span(sentence_on, words) if sentence_on else ""


def prompt_line(prompt: object, expression: object, space: object, normalize: object = False) -> str:
    """Return the line below the prompt around the words: the whole prompt once both can be read.

    Weights that do not add up to about 1 are said, with the ways out.
    """
    known = {"prompt": prompt, "space": space}
    given: dict[str, Any] = {
        name: value for name, value in known.items() if isinstance(value, str) and value.strip()
    }
    try:
        BlendRequest(expression="a", **given)
    except ValueError as error:
        return mistake(error)
    try:
        whole = BlendRequest(
            **given | {"expression": expression, "normalize": normalize is True}
        ).blended_prompt
        remarks = remarks_on(whole, steps=None)
    except ValueError as error:
        return mistake(error) if normalize is True else ""  # said below the expression, or by the job
    said = "".join(f" <span class='remark'>{html.escape(remark)}</span>" for remark in remarks)
    return f"<span>The prompt: <code>{html.escape(whole)}</code></span>{said}"


def mistake(error: ValueError) -> str:
    """Return an error as markup; the lines that point at a character keep their spaces."""
    words, _, pointer = sentence(str(error)).partition("\n")
    lines = f"<pre>{html.escape(pointer)}</pre>" if pointer else ""
    return f'<span class="wrong" role="alert">{html.escape(words)}</span>{lines}'
