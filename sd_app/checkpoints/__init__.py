"""Single-file checkpoints, known from their headers alone: names and shapes of tensors. No torch."""

from .configs import SCALING_FACTORS, Configs, TextConfig, make_configs
from .file_facts import PREDICTIONS, FileFacts, Stamp, inspect, stamp
from .header import Header, read_header
from .header_cache import open_header_cache
from .kinds import TEXT_ENCODERS, TEXT_WIDTHS, TITLES, UNET, VAE, identify

__all__ = [
    "PREDICTIONS",
    "SCALING_FACTORS",
    "TEXT_ENCODERS",
    "TEXT_WIDTHS",
    "TITLES",
    "UNET",
    "VAE",
    "Configs",
    "FileFacts",
    "Header",
    "Stamp",
    "TextConfig",
    "identify",
    "inspect",
    "make_configs",
    "open_header_cache",
    "read_header",
    "stamp",
]
