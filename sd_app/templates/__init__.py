"""Prompts that are drawn before they are read: choices in braces and wildcards, resolved by the seed.

dynamicprompts was tried in their place and left aside: it takes every brace for a choice, so arithmetic in
braces loses them; it knows no backslash; a wildcard that is missing is only logged, and one that leads back
to itself ends in a traceback. No torch.
"""

from .choices import Draw, Line, Lines, draw, holds_choices, parse_template
from .styles import STYLES, Style, StyleFile, apply_styles, delete_style, read_styles, save_style
from .wildcards import WILDCARDS, Wildcards

__all__ = [
    "STYLES",
    "WILDCARDS",
    "Draw",
    "Line",
    "Lines",
    "Style",
    "StyleFile",
    "Wildcards",
    "apply_styles",
    "delete_style",
    "draw",
    "holds_choices",
    "parse_template",
    "read_styles",
    "save_style",
]
