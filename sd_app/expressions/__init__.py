"""Arithmetic with words: the slots of a prompt, such as `a drawing of {cat + 0.43*tabby}`, read and checked.

    slot     = "{" [ ("all" | "row" | "input") ":" ] sum "}"
    sum      = product { ("+" | "-") product }
    product  = factor { ("*" | "/") factor }
    factor   = { "-" | "+" } ( number | words | "(" sum ")" | function )
    words    = bare words, side by side one phrase | "a quoted prompt" | <learned-word>
    function = "lerp(" sum "," sum "," sum ")" | "slerp(" the same ")" | "mean(" sum { "," sum } ")"

Numbers and words are two kinds: numbers scale words, words are added to words. What is made of numbers alone
is worked out here, so that the tree holds words and plain factors. `\\{` is a plain brace. No torch.
"""

from .escaping import escape, escape_braces
from .expression_error import ExpressionError
from .parser import METHODS, SPACES
from .template import Template, has_slots, parse_expression, parse_prompt, place_text
from .tree import (
    Interpolation,
    Mean,
    Node,
    Scaled,
    Slot,
    Sum,
    Words,
    iterate_words,
    needed,
    phrases_of,
    sum_of_weights,
)

__all__ = [
    "METHODS",
    "SPACES",
    "ExpressionError",
    "Interpolation",
    "Mean",
    "Node",
    "Scaled",
    "Slot",
    "Sum",
    "Template",
    "Words",
    "escape",
    "escape_braces",
    "has_slots",
    "iterate_words",
    "needed",
    "parse_expression",
    "parse_prompt",
    "phrases_of",
    "place_text",
    "sum_of_weights",
]
