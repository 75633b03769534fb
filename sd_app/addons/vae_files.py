"""Other VAEs: files and diffusers folders in models_dir/vae/, by name. Names and headers only; no torch."""

from functools import lru_cache
from pathlib import Path

from ..checkpoints import Header, Stamp, read_header
from ..checkpoints.config_values import read_values
from ..checkpoints.configs import vae_leaves_out
from ..checkpoints.names import name_vae
from ..checkpoints.networks import vae_shapes
from ..checkpoints.parts import find_vae_prefix
from ..checkpoints.stored import fit
from ..checkpoints.weight_files import read_sources
from ..settings import Settings
from ..user_files import SUFFIX, read_object, readable
from .addon_files import AddonFile, pick_file, scan, stamp_files

VAES = "vae"  # folder in models_dir
LATENT_CHANNELS = 4
MAX_CHANNELS = 8192  # of a block; what a folder asks for is allocated before its weights are read
WEIGHTS = "diffusion_pytorch_model"


def list_vaes(settings: Settings) -> tuple[AddonFile, ...]:
    """List the VAEs by name; a file that shares its name with a folder goes by its name with the ending."""
    folder = settings.models_dir / VAES
    folders = {path.parent.name for path in folder.glob("*/config.json")}
    found = [
        AddonFile(name=name, path=folder / name)
        for name in folders
        if not name.startswith(".") and readable(name) == name
    ]
    for place in scan(folder, (SUFFIX,), depth=0):
        stem = place[: -len(SUFFIX)]
        found.append(AddonFile(name=place if stem in folders else stem, path=folder / place))
    return tuple(sorted(found, key=lambda file: file.name.lower()))


def find_vae(settings: Settings, name: str) -> AddonFile:
    """Return the VAE of that name, with or without .safetensors. Raise ValueError if it cannot be used."""
    folder = settings.models_dir / VAES
    file = pick_file("VAE", list_vaes(settings), folder, name, field="vae")
    if reason := _why_unusable(file.path, stamp_files(file.path)):
        raise ValueError(f"vae must be one that can be used, and {file.name} cannot: {reason}")
    return file


@lru_cache(maxsize=256)
def _why_unusable(path: Path, _files: tuple[Stamp, ...]) -> str:
    try:
        if path.is_dir():
            _check_folder(path)
        else:
            _check_header(read_header(path))
    except (ValueError, RecursionError) as error:
        return str(error)
    except OSError as error:
        return error.strerror or "it cannot be read"
    return ""


def _check_folder(path: Path) -> None:
    config = read_object(path / "config.json")
    if not config:
        raise ValueError("its config.json is not a JSON object, or cannot be read (download it again)")
    kind = config.get("_class_name")
    if kind != "AutoencoderKL":
        raise ValueError(f"it is a {readable(str(kind))[:80]}, and only an AutoencoderKL can be used")
    if not any(path.glob(f"{WEIGHTS}*{SUFFIX}")):
        raise ValueError(f"it holds no {WEIGHTS}{SUFFIX}")
    if config.get("latent_channels", LATENT_CHANNELS) != LATENT_CHANNELS:
        count = readable(str(config["latent_channels"]))[:80]
        raise ValueError(f"its latents have {count} channels, and the model's have {LATENT_CHANNELS}")
    channels = config.get("block_out_channels", [])
    if not isinstance(channels, list) or not all(one in range(1, MAX_CHANNELS + 1) for one in channels):
        raise ValueError(
            f"its config.json has block_out_channels that are not numbers from 1 to {MAX_CHANNELS}"
        )
    found = name_vae(read_sources(path))
    fit(vae_shapes(read_values(config, "vae") | vae_leaves_out(found)), found, "VAE")


def _check_header(header: Header) -> None:
    if header.has("decoder.layers.", "1.weight"):
        raise ValueError("it is a TAESD, which draws previews (put it into taesd/)")
    prefix = find_vae_prefix(header)
    shape = () if prefix is None else header.shapes[f"{prefix}decoder.conv_in.weight"]
    if len(shape) != 4 or not header.has(f"{prefix}encoder."):
        raise ValueError("its tensors are not those of a VAE")
    if shape[1] != LATENT_CHANNELS:
        raise ValueError(f"its latents have {shape[1]} channels, and the model's have {LATENT_CHANNELS}")
