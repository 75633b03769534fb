"""Load a VAE to use in place of a checkpoint's own."""

from pathlib import Path

from accelerate import init_empty_weights
from diffusers import AutoencoderKL

from ..checkpoints import Sources, read_header
from ..checkpoints.config_values import read_values
from ..checkpoints.configs import vae_leaves_out
from ..checkpoints.names import name_vae
from ..checkpoints.networks import vae_shapes
from ..checkpoints.parts import find_vae_prefix
from ..checkpoints.stored import fit, gather
from ..checkpoints.weight_files import read_sources
from ..user_files import read_object, reason_of
from .tensor_files import fill_module


def load_vae(path: Path, own: AutoencoderKL) -> AutoencoderKL:
    """Load a VAE from a file or a diffusers folder, in the number format of a checkpoint's own one.

    A file does not say how its numbers are scaled and normalised: it must be built as the own VAE is, whose
    configuration it gets. Raise ValueError for one that is not, or cannot be read; a full memory is not that.
    """
    try:
        return _load_folder(path, own) if path.is_dir() else _load_file(path, own)
    except OSError as error:
        raise ValueError(f"it cannot be read: {reason_of(error, path)}") from error


def _load_folder(path: Path, own: AutoencoderKL) -> AutoencoderKL:
    config = read_values(read_object(path / "config.json"), "vae")
    found = name_vae(read_sources(path))
    told = config | vae_leaves_out(found)
    sources = fit(vae_shapes(told), found, "VAE")
    with init_empty_weights():
        vae = AutoencoderKL.from_config(told)
    for name in ("scaling_factor", "shift_factor", "latent_channels"):
        theirs, ours = vae.config.get(name), own.config.get(name)
        if theirs != ours:
            raise ValueError(f"its {name} is {theirs!r:.80}, and that of the model's own is {ours}")
    if len(vae.config.block_out_channels) != len(own.config.block_out_channels):
        raise ValueError("it makes pictures of another size from the same latents")
    return _filled(vae, sources, own)


def _load_file(path: Path, own: AutoencoderKL) -> AutoencoderKL:
    header = read_header(path)
    found = name_vae(gather(header, path, find_vae_prefix(header) or ""))
    config = dict(own.config) | vae_leaves_out(found)
    sources = fit(vae_shapes(config), found, "VAE")
    with init_empty_weights():
        vae = AutoencoderKL.from_config(config)
    return _filled(vae, sources, own)


def _filled(vae: AutoencoderKL, sources: Sources, own: AutoencoderKL) -> AutoencoderKL:
    filled: AutoencoderKL = fill_module(vae, sources, "VAE", own.dtype)
    return filled
