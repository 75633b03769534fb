"""Load a VAE to use in place of a checkpoint's own."""

from pathlib import Path

from accelerate import init_empty_weights
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors import SafetensorError, safe_open

from ..checkpoints import VAE
from ..full_memory import is_out_of_memory
from ..user_files import reason_of
from .single_file import fill_module

# Names that older versions of diffusers gave to the attention's matrices.
_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def load_vae(path: Path, own: AutoencoderKL) -> AutoencoderKL:
    """Load a VAE from a file or a diffusers folder, in the number format of a checkpoint's own one.

    A file does not say how its numbers are scaled and normalised: it must be built as the own VAE is, whose
    configuration it gets. Raise ValueError for one that is not, or cannot be read; a full memory is not that.
    """
    try:
        return _load_folder(path, own) if path.is_dir() else _load_file(path, own)
    except (SafetensorError, OSError, KeyError, IndexError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise ValueError(f"it cannot be read: {reason_of(error, path)}") from error


def _load_folder(path: Path, own: AutoencoderKL) -> AutoencoderKL:
    try:
        vae = AutoencoderKL.from_pretrained(
            path, dtype=own.dtype, use_safetensors=True, local_files_only=True
        )
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError) as error:
        reason = reason_of(error, path)
        raise ValueError(f"its config.json says nothing that fits its weights: {reason}") from error
    if lacking := [name for name, weight in vae.state_dict().items() if weight.is_meta]:
        raise ValueError(f"it lacks {len(lacking)} tensors, {lacking[0]} for one")
    for name in ("scaling_factor", "shift_factor", "latent_channels"):
        theirs, ours = vae.config.get(name), own.config.get(name)
        if theirs != ours:
            raise ValueError(f"its {name} is {theirs!r:.80}, and that of the model's own is {ours}")
    if len(vae.config.block_out_channels) != len(own.config.block_out_channels):
        raise ValueError("it makes pictures of another size from the same latents")
    return vae.eval()


def _load_file(path: Path, own: AutoencoderKL) -> AutoencoderKL:
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        prefix = next((one for one in (VAE, "vae.") if any(name.startswith(one) for name in names)), "")
        weights = {name[len(prefix) :]: file.get_tensor(name) for name in names if name.startswith(prefix)}
        if any(name.startswith(("encoder.down.", "encoder.mid.")) for name in weights):
            weights = convert_ldm_vae_checkpoint(weights, own.config)
        else:
            weights = {_renamed(name): weight for name, weight in weights.items()}
        with init_empty_weights():
            vae = AutoencoderKL.from_config(own.config)
        filled: AutoencoderKL = fill_module(vae, weights, "VAE", own.dtype)
    return filled


def _renamed(name: str) -> str:
    for old, new in _OLD.items():
        name = name.replace(f"attentions.0.{old}.", f"attentions.0.{new}.")
    return name
