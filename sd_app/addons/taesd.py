"""TAESD, a small decoder for previews (github.com/madebyollin/taesd), where its file lies in models_dir."""

import json
from pathlib import Path

from ..model_info import LATENT_RGB, ModelInfo
from ..settings import Settings

# By the VAE's scaling factor, which says whose latents they are: the folder, and the file's name.
DECODERS = {0.18215: ("taesd", "taesd_decoder"), 0.13025: ("taesdxl", "taesdxl_decoder")}
FILES = "taesd"  # folder of both families' single files


def find_preview_decoder(settings: Settings, info: ModelInfo) -> Path | None:
    """Return the folder or file of the decoder for a model's latents, None if there is none.

    A model with latents of its own, as the embedded one has, has none.
    """
    for scaling_factor, (folder_name, file_name) in DECODERS.items():
        if info.latent_rgb != LATENT_RGB[scaling_factor]:
            continue
        folder = settings.models_dir / folder_name
        if _is_tiny(folder):
            return folder
        file = settings.models_dir / FILES / f"{file_name}.safetensors"
        if file.is_file():
            return file
    return None


def _is_tiny(folder: Path) -> bool:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("_class_name") == "AutoencoderTiny"
