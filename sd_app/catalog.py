"""Which models there are, and what each one likes. Reads names and small JSON files only; no torch."""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any

from .checkpoints import SCALING_FACTORS, inspect, may_be_checkpoint
from .hub.cache import list_snapshots, snapshot_folder
from .hub.curated import CURATED, owner_facts
from .model_info import ModelInfo, describe_model
from .reading import MAX_NAMED, PICKLES, SUFFIX, nearest, read_object, reason_of
from .settings import Settings, is_path

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")  # folders that hold weights; only SDXL has all
XL_PIPELINES = ("StableDiffusionXLPipeline", "StableDiffusionXLInpaintPipeline")  # of model_index.json
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionInpaintPipeline", *XL_PIPELINES)
INPAINT_CHANNELS = 9  # of a U-Net that also reads the mask and the masked picture: 4 + 1 + 4
CONFIGS = ("vae/config.json", "unet/config.json", "model_index.json")
LIBRARIES = ("diffusers", "transformers")  # code we run; a folder's own code is never run


def list_models(settings: Settings) -> list[ModelInfo]:
    """List the usable models, the default one first, then by name."""
    folders, files = _children(settings.models_dir)
    models = [describe_folder(path) for path in folders if not why_unusable(path)]
    models += _describe_files(files, folders)
    models += _list_hub(settings)
    models += _list_given(settings, {info.name for info in models})
    return sorted(models, key=lambda info: (not _is_default(info, settings), info.name.lower()))


def find_model(settings: Settings, name: str | None) -> ModelInfo:
    """Return the model of that name (None: the default one); a single file's may end in .safetensors.

    Raise ValueError naming what there is, the nearest first, or saying why what lies there cannot be used.
    """
    wanted = settings.model if name is None else name
    models = list_models(settings)
    for info in models:
        if _is_default(info, settings) if name is None else _is_called(info, wanted):
            return info
    if name is None and is_path(settings.model):
        raise ValueError(f"model {settings.model} cannot be used: {_why_path_unusable(Path(settings.model))}")
    raise ValueError(
        f"model must be one of: {_some_names(wanted, models)}; got {wanted!r}{_why_missing(settings, wanted)}"
    )


def _some_names(wanted: str, models: list[ModelInfo]) -> str:
    """Name at most 8 of the models, those whose names are near first."""
    names = [info.name for info in models]
    some = list(dict.fromkeys([*nearest(wanted, names), *names]))[:MAX_NAMED]
    more = f" and {len(names) - len(some):,} more" if len(names) > len(some) else ""
    return f"{', '.join(some) or 'none yet'}{more}"


def is_hub_id(name: str) -> bool:
    """Tell whether a name is a Hugging Face id, owner/name."""
    owner, slash, repo = name.partition("/")
    return bool(slash and owner and repo) and "/" not in repo and not name.startswith(".")


def describe_folder(path: Path, *, name: str | None = None, kind: str = "folder") -> ModelInfo:
    """Describe a diffusers folder; what studio.json says goes before what the configurations imply."""
    vae, unet = read_object(path / "vae/config.json"), read_object(path / "unet/config.json")
    known = {
        "name": name or path.name,
        "kind": kind,
        "path": path,
        "family": tell_family(read_object(path / "model_index.json"), unet),
        "size_bytes": sum(
            file.stat().st_size for part in parts_of(path) for file in weight_files(path / part)
        ),
        "only_inpaints": unet.get("in_channels") == INPAINT_CHANNELS,
    }
    return describe_model(
        known,
        {**owner_facts(name or path.name), **read_object(path / "studio.json")},
        native_size=native_size(unet, vae),
        scaling_factor=vae.get("scaling_factor"),
    )


def describe_file(path: Path, *, name: str | None = None) -> ModelInfo:
    """Describe a single-file checkpoint; what NAME.json says goes before what its header implies.

    Raise ValueError saying why it cannot be used, OSError if it cannot be read; see checkpoints.inspect.
    """
    facts = inspect(path)
    known = {
        "name": name or path.stem,
        "kind": "file",
        "path": path,
        "family": facts.family,
        "size_bytes": facts.size_bytes,
        "only_inpaints": facts.in_channels == INPAINT_CHANNELS,
    }
    try:
        return describe_model(
            known,
            facts.side,
            native_size=facts.native_size,
            scaling_factor=SCALING_FACTORS[facts.family],
            note=facts.assumed,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a value in {path.stem}.json beside it is wrong: {error}") from error


def parts_of(path: Path) -> tuple[str, ...]:
    """Return the parts of a diffusers folder that hold weights."""
    return PARTS if _is_xl(path) else PARTS[:-1]


def _is_xl(path: Path) -> bool:
    return read_object(path / "model_index.json").get("_class_name") in XL_PIPELINES


def tell_family(index: dict[str, Any], unet: dict[str, Any]) -> str:
    """Return sd1, sd2 or sdxl, from model_index.json and the U-Net's config.json."""
    if index.get("_class_name") in XL_PIPELINES:
        return "sdxl"
    return "sd2" if unet.get("cross_attention_dim") == 1024 else "sd1"


def native_size(unet: dict[str, Any], vae: dict[str, Any]) -> int:
    """Return the pixels of a side a model was trained on, from the config.json of both parts."""
    return (unet.get("sample_size") or 64) * 2 ** (len(vae.get("block_out_channels", (0,) * 4)) - 1)


def weight_files(part: Path) -> list[Path]:
    """List the safetensors files a load would read: the fp16 ones where a part has both."""
    files = sorted(file for file in part.glob("*.safetensors") if file.is_file())
    return [file for file in files if ".fp16" in file.name] or files


def why_unusable(path: Path) -> str:
    """Say why a diffusers folder cannot be loaded, in words for its owner; empty when it can."""
    index = read_object(path / "model_index.json")
    if not index:
        return "it has no readable model_index.json: it is not a diffusers folder"
    if reason := why_not_pipeline(index, read_object(path / "unet/config.json")):
        return reason
    parts = parts_of(path)
    if missing := next((part for part in parts if _lacks_shards(path / part)), None):
        return f"its {missing} is not whole: a file that its index names is missing (download it again)"
    for part in parts:
        if not weight_files(path / part):
            return f"its {part} holds no .safetensors weights{_how_to_convert(path, part)}"
    try:
        describe_folder(path)
    except (KeyError, TypeError, ValueError) as error:
        return f"a value in its studio.json or config.json is wrong: {error}"
    return ""


def why_not_pipeline(index: dict[str, Any], unet: dict[str, Any]) -> str:
    """Say by model_index.json and the U-Net's config.json why a model is none of ours; empty when it is."""
    kind = index.get("_class_name")
    if kind not in PIPELINES:
        return f"it is a {kind}, and only Stable Diffusion 1, 2 and XL ({', '.join(PIPELINES)}) can be used"
    is_xl = kind in XL_PIPELINES
    parts, tokenizers = PARTS if is_xl else PARTS[:-1], ("tokenizer", "tokenizer_2")[: 1 + is_xl]
    for part in (*parts, *tokenizers, "scheduler"):
        entry = index.get(part)
        if not isinstance(entry, list) or entry[0] not in LIBRARIES:
            return f"its {part} needs code of its own, which is never run"
    channels = unet.get("in_channels", 4)
    if channels not in (4, INPAINT_CHANNELS):
        return (
            f"its U-Net takes {channels} channels (only 4 and, for inpainting, {INPAINT_CHANNELS} are known)"
        )
    return ""


def _lacks_shards(part: Path) -> bool:
    """Tell whether weights in several files are not all there: a download that was broken off."""
    for index in part.glob("*.safetensors.index*.json"):
        if ("fp16" in index.name) == any(".fp16" in file.name for file in weight_files(part)):
            shards = set(read_object(index).get("weight_map", {}).values())
            return not all((part / str(shard)).is_file() for shard in shards)
    return False


def find_snapshot(hub_id: str) -> Path | None:
    """Return the downloaded, complete snapshot of a hub id's main branch, or None."""
    snapshot = snapshot_folder(hub_id)
    return None if snapshot is None or why_unusable(snapshot) else snapshot


def list_downloaded() -> list[ModelInfo]:
    """List the usable models in the hub's cache, whichever program fetched them."""
    return [
        describe_folder(folder, name=hub_id, kind="hub")
        for hub_id, folder in list_snapshots()
        if not why_unusable(folder)
    ]


def _list_hub(settings: Settings) -> list[ModelInfo]:
    """List what is downloaded, and the owner's choice even if it is not; visitors get that one alone."""
    models = list_downloaded() if settings.mode == "local" else []
    if is_hub_id(settings.model) and settings.model not in [info.name for info in models]:
        models.append(_describe_hub(settings.model))
    return models


def _describe_hub(hub_id: str) -> ModelInfo:
    """Describe a hub model, by what is known of it if it is not downloaded."""
    snapshot = find_snapshot(hub_id)
    if snapshot is not None:
        return describe_folder(snapshot, name=hub_id, kind="hub")
    known: dict[str, Any] = {"name": hub_id, "kind": "hub", "path": None}
    curated, begun = CURATED.get(hub_id), snapshot_folder(hub_id)
    vae, unet, index = (read_object(begun / name) if begun else {} for name in CONFIGS)
    if curated:
        known |= {"family": curated.family, "only_inpaints": curated.only_inpaints}
        side, factor = curated.native_size, curated.scaling_factor
    else:  # a download that has begun brings its small files first
        known |= {"family": tell_family(index, unet)}
        known |= {"only_inpaints": unet.get("in_channels") == INPAINT_CHANNELS}
        side, factor = native_size(unet, vae), vae.get("scaling_factor", 0.18215)
    note = "Downloaded when first used."
    return describe_model(known, owner_facts(hub_id), native_size=side, scaling_factor=factor, note=note)


def _children(models_dir: Path) -> tuple[list[Path], list[Path]]:
    """Return the diffusers folders and the .safetensors files of a folder. Nothing is opened."""
    folders, files = [], []
    try:
        with os.scandir(models_dir) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.name.lower().endswith(SUFFIX) and _leads_to(entry.is_file):
                    files.append(models_dir / entry.name)
                elif _leads_to(entry.is_dir) and (models_dir / entry.name / "model_index.json").is_file():
                    folders.append(models_dir / entry.name)
    except OSError:
        pass  # a folder that is not there holds nothing
    return folders, sorted(files, key=attrgetter("name"))  # comparing whole paths is slow


def _leads_to(is_kind: Callable[[], bool]) -> bool:
    """Ask a folder's entry of what kind it is; a link that leads round in a circle is of none."""
    try:
        return is_kind()
    except OSError:
        return False


def _describe_files(files: list[Path], folders: list[Path]) -> list[ModelInfo]:
    """Describe the usable checkpoint files. One that shares its name goes by its name with the ending."""
    bearers = Counter([folder.name for folder in folders] + [file.stem for file in files])
    models = []
    for file in files:
        name = file.name if bearers[file.stem] > 1 else file.stem
        with suppress(ValueError, OSError):
            if may_be_checkpoint(file):
                models.append(describe_file(file, name=name))
    return models


def _list_given(settings: Settings, taken: set[str]) -> list[ModelInfo]:
    """List the model whose path the owner gave at start, if it can be used and is not in the list already."""
    path = Path(settings.model)
    if not is_path(settings.model) or path.parent == settings.models_dir.absolute():
        return []
    name = path.name.removesuffix(SUFFIX)
    name = f"{name} ({path.parent.name})" if name in taken else name
    if path.is_dir():
        return [] if why_unusable(path) else [describe_folder(path, name=name)]
    with suppress(ValueError, OSError):
        return [describe_file(path, name=name)]
    return []


def _why_path_unusable(path: Path) -> str:
    if path.is_dir():
        return why_unusable(path)
    if path.suffix in PICKLES:
        return f"reading it can run code{_how_to_convert(path)}"
    return _why_file_unusable(path) or "there is no such folder or .safetensors file"


def _is_default(info: ModelInfo, settings: Settings) -> bool:
    if is_path(settings.model):
        return info.path is not None and str(info.path.absolute()) == settings.model
    return _is_called(info, settings.model)


def _is_called(info: ModelInfo, name: str) -> bool:
    return info.name == name or (info.kind == "file" and info.path is not None and info.path.name == name)


def _why_missing(settings: Settings, name: str) -> str:
    """Look for what a person may have meant; the name must be that of a direct child of models_dir."""
    if is_hub_id(name):
        local = f"download it first, python -m sd_app download {name}, or start with it: --model {name}"
        return f" ({local})" if settings.mode == "local" else ""
    if not name or Path(name).name != name:
        return ""
    for suffix in ("", SUFFIX, *PICKLES):
        path = settings.models_dir / (name + suffix)
        if path.is_dir():
            return f" ({name} cannot be used: {why_unusable(path)})"
        if path.suffix in PICKLES and path.is_file():
            return f" ({path.name} is refused: reading it can run code{_how_to_convert(path)})"
        if path.suffix.lower() == SUFFIX and (reason := _why_file_unusable(path)):
            return f" ({path.name} cannot be used: {reason})"
    return ""


def _why_file_unusable(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return "it is a link that leads nowhere"
    try:
        describe_file(path)
    except FileNotFoundError:
        return ""
    except (ValueError, OSError) as error:
        return reason_of(error, path)
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
