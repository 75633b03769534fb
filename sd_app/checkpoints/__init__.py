"""Single-file checkpoints, known from their headers alone: names and shapes of tensors. No torch."""

from .configs import SCALING_FACTORS, TextConfig
from .file_facts import PREDICTIONS, FileFacts, Stamp, file_scheduler, inspect, mark_broken, stamp
from .header import Header, read_header
from .header_cache import open_header_cache
from .kinds import TEXT_ENCODERS, TEXT_WIDTHS, TITLES, UNET, VAE
from .parts import FileParts, find_parts
from .stored import Source, Sources

__all__ = [
    "PREDICTIONS",
    "SCALING_FACTORS",
    "TEXT_ENCODERS",
    "TEXT_WIDTHS",
    "TITLES",
    "UNET",
    "VAE",
    "FileFacts",
    "FileParts",
    "Header",
    "Source",
    "Sources",
    "Stamp",
    "TextConfig",
    "file_scheduler",
    "find_parts",
    "inspect",
    "mark_broken",
    "open_header_cache",
    "read_header",
    "stamp",
]
