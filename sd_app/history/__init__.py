"""The pictures in the outputs folder: what is thought of them."""

from .marks import MARKS, Mark, Marks

__all__ = ["MARKS", "Mark", "Marks"]
