"""Prompts that are drawn before they are read: choices in braces and wildcards, resolved by the seed.

dynamicprompts was tried in their place and left aside: it takes every brace for a choice, so arithmetic in
braces loses them; it knows no backslash; a wildcard that is missing is only logged, and one that leads back
to itself ends in a traceback. No torch.
"""

from .choices import Draw, Line, Lines, draw, holds_choices, parse_template
from .wildcards import WILDCARDS, Wildcards

__all__ = [
    "WILDCARDS",
    "Draw",
    "Line",
    "Lines",
    "Wildcards",
    "draw",
    "holds_choices",
    "parse_template",
]
