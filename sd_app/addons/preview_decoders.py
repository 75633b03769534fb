"""Decoders for previews: one of the model's own, or TAESD (github.com/madebyollin/taesd) in models_dir."""

from pathlib import Path

from ..checkpoints.model_info import LATENT_RGB, ModelInfo
from ..settings import Settings
from ..user_files import read_object

# By the VAE's scaling factor, which says whose latents they are: the folder, and the file's name.
DECODERS = {0.18215: ("taesd", "taesd_decoder"), 0.13025: ("taesdxl", "taesdxl_decoder")}
FILES = "taesd"  # folder of both families' single files
OWN = "preview_decoder.safetensors"  # in a diffusers folder: made for this model's own VAE


def find_preview_decoder(settings: Settings, info: ModelInfo, *, own_vae: bool = True) -> Path | None:
    """Return the folder or file of the decoder for a model's latents, None if there is none.

    The model's own shows what its own VAE would make, which is another thing where that is replaced.
    """
    if own_vae and info.path is not None and (own := info.path / OWN).is_file():
        return own
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
    """Tell a decoder of four channels to RGB at eight times the size; there are those of other models."""
    config = read_object(folder / "config.json")
    blocks = config.get("num_decoder_blocks", [3, 3, 3, 1])
    return (
        config.get("_class_name") == "AutoencoderTiny"
        and config.get("latent_channels", 4) == 4
        and config.get("out_channels", 3) == 3
        and config.get("upsampling_scaling_factor", 2) == 2
        and isinstance(blocks, list)
        and len(blocks) == 4  # all but the last one double the size
    )
