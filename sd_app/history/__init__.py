"""The pictures in the outputs folder: listed, found, marked, thrown away, put back. Files are the truth."""

from .finding import Kept
from .history import History, Page, ScanState
from .marks import MARKS, Mark, Marks

__all__ = ["MARKS", "History", "Kept", "Mark", "Marks", "Page", "ScanState"]
