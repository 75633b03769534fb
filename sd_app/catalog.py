"""Which models there are, and what each one likes. Reads names and small JSON files only; no torch."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .settings import Settings

LatentRgb = tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]

PICKLES = (".ckpt", ".pt", ".pth", ".bin")  # formats whose reading can run code
PARTS = ("unet", "vae", "text_encoder")  # folders that hold weights
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionInpaintPipeline")  # of model_index.json
INPAINT_CHANNELS = 9  # of a U-Net that also reads the mask and the masked picture: 4 + 1 + 4
LIBRARIES = ("diffusers", "transformers")  # code we run; a folder's own code is never run

# Latents as the U-Net sees them -> RGB in 0..1, by the VAE's scaling factor: one VAE, one factor.
# Stable Diffusion 1 and 2: fitted by Kevin Turner, discuss.huggingface.co/t/23204, for -1..1; halved here.
# SDXL: Timothy Alexis Vass, huggingface.co/blog/TimothyAlexisVass/explaining-the-sdxl-latent-space,
# for 0..255; divided here.
_SD1 = ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473))
_SDXL = ((60.0, 60.0, 60.0), (-60.0, -5.0, 10.0), (25.0, 15.0, -5.0), (-70.0, -50.0, -35.0))
LATENT_RGB: dict[float, LatentRgb] = {
    0.18215: (tuple(tuple(x / 2 for x in row) for row in _SD1), (0.5, 0.5, 0.5)),
    0.13025: (tuple(tuple(x / 255 for x in row) for row in _SDXL), (150 / 255, 140 / 255, 130 / 255)),
}


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """One model that can be asked for by name, and the defaults of a request that leaves fields out."""

    name: str  # the folder's name, or a hub id "owner/name"
    title: str
    kind: str  # "folder", "hub" or "file"
    path: Path | None  # None: on the hub and not downloaded yet
    family: str  # "sd1" or "sd2"
    native_size: int  # pixels of a side it was trained on
    default_steps: int = 25
    default_guidance_scale: float = 7.5
    default_scheduler: str = "DPM++ 2M Karras"
    size_bytes: int = 0  # of the weights on disk
    example_prompts: tuple[str, ...] = ()
    note: str = ""
    # Linear map to RGB in 0..1 from latents as the U-Net sees them (times the VAE's scaling factor):
    # a row of (r, g, b) for each of the four channels, then the bias. None: no preview.
    latent_rgb: LatentRgb | None = None
    only_inpaints: bool = False  # a checkpoint whose U-Net needs a mask


def list_models(settings: Settings) -> list[ModelInfo]:
    """List the usable models, the default one first, then by name."""
    models = [describe_folder(path) for path in _model_folders(settings.models_dir) if not why_unusable(path)]
    if is_hub_id(settings.model):
        models.append(_describe_hub(settings.model))
    return sorted(models, key=lambda info: (info.name != settings.model, info.name.lower()))


def find_model(settings: Settings, name: str | None) -> ModelInfo:
    """Return the model of that name (None: the default one).

    Raise ValueError listing what there is, or saying why what lies there cannot be used.
    """
    wanted = settings.model if name is None else name
    models = list_models(settings)
    for info in models:
        if info.name == wanted:
            return info
    reason = _why_missing(settings, wanted)
    names = ", ".join(info.name for info in models) or "none yet"
    raise ValueError(f"model must be one of: {names}; got {wanted!r}{reason}")


def is_hub_id(name: str) -> bool:
    """Tell whether a name is a Hugging Face id, owner/name."""
    owner, slash, repo = name.partition("/")
    return bool(slash and owner and repo) and "/" not in repo and not name.startswith(".")


def describe_folder(path: Path, *, name: str | None = None, kind: str = "folder") -> ModelInfo:
    """Describe a diffusers folder; what studio.json says goes before what the configurations imply."""
    vae, unet = _read_json(path / "vae/config.json"), _read_json(path / "unet/config.json")
    studio = _read_json(path / "studio.json")
    factor = 2 ** (len(vae.get("block_out_channels", (0,) * 4)) - 1)
    example_prompts = studio.get("example_prompts", ())
    return ModelInfo(
        name=name or path.name,
        title=str(studio.get("title", name or path.name)),
        kind=kind,
        path=path,
        family="sd2" if unet.get("cross_attention_dim") == 1024 else "sd1",
        native_size=int(studio.get("native_size", unet.get("sample_size", 64) * factor)),
        default_steps=int(studio.get("default_steps", 25)),
        default_guidance_scale=float(studio.get("default_guidance_scale", 7.5)),
        default_scheduler=str(studio.get("default_scheduler", "DPM++ 2M Karras")),
        size_bytes=sum(file.stat().st_size for part in PARTS for file in weight_files(path / part)),
        example_prompts=tuple(str(prompt) for prompt in example_prompts),
        note=str(studio.get("note", "")),
        latent_rgb=_latent_rgb(studio.get("latent_rgb"), vae.get("scaling_factor")),
        only_inpaints=unet.get("in_channels") == INPAINT_CHANNELS,
    )


def weight_files(part: Path) -> list[Path]:
    """List the safetensors files a load would read: the fp16 ones where a part has both."""
    files = sorted(part.glob("*.safetensors"))
    return [file for file in files if ".fp16" in file.name] or files


def why_unusable(path: Path) -> str:
    """Say why a diffusers folder cannot be loaded, in words for its owner; empty when it can."""
    index = _read_json(path / "model_index.json")
    if not index:
        return "it has no readable model_index.json: it is not a diffusers folder"
    kind = index.get("_class_name")
    if kind not in PIPELINES:
        return f"it is a {kind}, and only Stable Diffusion 1 and 2 ({' or '.join(PIPELINES)}) can be used"
    for part in (*PARTS, "scheduler", "tokenizer"):
        entry = index.get(part)
        if not isinstance(entry, list) or entry[0] not in LIBRARIES:
            return f"its {part} needs code of its own, which is never run"
    channels = _read_json(path / "unet/config.json").get("in_channels", 4)
    if channels not in (4, INPAINT_CHANNELS):
        return (
            f"its U-Net takes {channels} channels (only 4 and, for inpainting, {INPAINT_CHANNELS} are known)"
        )
    for part in PARTS:
        if not weight_files(path / part):
            return f"its {part} holds no .safetensors weights{_how_to_convert(path, part)}"
    try:
        describe_folder(path)
    except (KeyError, TypeError, ValueError) as error:
        return f"a value in its studio.json or config.json is wrong: {error}"
    return ""


def hub_cache() -> Path:
    """Return Hugging Face's download folder, as the environment says now."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    return Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()


def find_snapshot(hub_id: str) -> Path | None:
    """Return the downloaded, complete snapshot of a hub id's main branch, or None."""
    repo = hub_cache() / f"models--{hub_id.replace('/', '--')}"
    try:
        snapshot = repo / "snapshots" / (repo / "refs/main").read_text().strip()
    except OSError:
        return None
    return None if why_unusable(snapshot) else snapshot


def _describe_hub(hub_id: str) -> ModelInfo:
    snapshot = find_snapshot(hub_id)
    if snapshot is not None:
        return describe_folder(snapshot, name=hub_id, kind="hub")
    return ModelInfo(
        name=hub_id,
        title=hub_id,
        kind="hub",
        path=None,
        family="sd1",
        native_size=512,
        note="Downloaded when first used.",
        latent_rgb=LATENT_RGB[0.18215],
    )


def _model_folders(models_dir: Path) -> Iterator[Path]:
    try:
        with os.scandir(models_dir) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return
    for name in names:
        if (models_dir / name / "model_index.json").is_file():
            yield models_dir / name


def _why_missing(settings: Settings, name: str) -> str:
    """Look for what a person may have meant; the name must be that of a direct child of models_dir."""
    if is_hub_id(name):
        return f" (a hub id must be given at start: --model {name})"
    if not name or Path(name).name != name:
        return ""
    for suffix in ("", ".safetensors", *PICKLES):
        path = settings.models_dir / (name + suffix)
        if path.is_dir():
            return f" ({name} cannot be used: {why_unusable(path)})"
        if path.suffix in PICKLES and path.is_file():
            return f" ({path.name} is refused: reading it can run code{_how_to_convert(path)})"
        if path.suffix == ".safetensors" and path.is_file():
            return f" ({path.name} is a single file; use a diffusers folder{_how_to_convert(path)})"
    return ""


def _how_to_convert(path: Path, part: str | None = None) -> str:
    """Say how to make a usable folder of a file, or of a folder whose part holds pickles only."""
    if part is not None and not any(file.suffix in PICKLES for file in (path / part).glob("*")):
        return ""
    load = "from_single_file" if part is None else "from_pretrained"
    code = f'P.{load}("{path.name}").save_pretrained("{path.stem}-safe")'
    return (
        "; if you trust its source, convert it once, in its folder:"
        f" python -c 'from diffusers import StableDiffusionPipeline as P; {code}'"
    )


def _latent_rgb(given: Any, scaling_factor: Any) -> LatentRgb | None:
    if not given:
        return LATENT_RGB.get(scaling_factor)
    factors = tuple(tuple(float(x) for x in row) for row in given["factors"])
    bias = tuple(float(x) for x in given["bias"])
    if [len(row) for row in factors] != [3] * 4 or len(bias) != 3:
        raise ValueError("latent_rgb of studio.json must have 4 rows of 3 factors and a bias of 3")
    return factors, bias


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
