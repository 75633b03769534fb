"""Which models there are, and what each one likes. Reads names and small JSON files only; no torch."""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path

from .checkpoints import SCALING_FACTORS, FileFacts, inspect, open_header_cache
from .checkpoints.folders import (
    INDEX,
    INPAINT_CHANNELS,
    describe_folder,
    how_to_convert,
    native_size,
    tell_family,
    why_unusable,
)
from .checkpoints.model_info import ODD_VALUES, ModelInfo, apply_overrides
from .checks import is_whole, shown
from .hub.curated import CURATED, curated_overrides
from .hub.hub_cache import find_snapshot, list_snapshots, snapshot_folder
from .settings import EMBEDDED_DIR, EMBEDDED_MODEL, Settings, is_path
from .user_files import (
    MAX_NAMED,
    PICKLES,
    SUFFIX,
    JsonObject,
    may_be_file,
    nearest,
    read_object,
    readable,
    reason_of,
)

CONFIGS = ("vae/config.json", "unet/config.json", INDEX)


def list_models(settings: Settings) -> list[ModelInfo]:
    """List the usable models, the default one first, then by name."""
    folders, files = _children(settings.models_dir)
    if EMBEDDED_MODEL not in [folder.name for folder in folders]:
        folders.append(EMBEDDED_DIR / EMBEDDED_MODEL)
    names = _name_folders(folders, settings.models_dir)
    models = [describe_folder(path, name=names[path]) for path in folders if not why_unusable(path)]
    models += _describe_files(files, list(names.values()), settings.cache_dir)
    models += _list_hub(settings)
    models += _list_given(settings, {info.name for info in models})
    return sorted(models, key=lambda info: (not _is_default(info, settings), info.name.lower()))


def find_model(settings: Settings, name: str | None) -> ModelInfo:
    """Return the model of that name (None: the default one); a single file's may end in .safetensors.

    Raise ValueError naming what there is, the nearest first, or saying why what lies there cannot be used.
    """
    if name is not None and not isinstance(name, str):
        raise ValueError(f"model must be a name, got {shown(name)} (leave it out for the default)")
    wanted = settings.model if name is None else name
    models = list_models(settings)
    for info in models:
        if _is_default(info, settings) if name is None else _is_called(info, wanted):
            return info
    if name is None and is_path(settings.model):
        path = Path(settings.model)
        called = path if settings.mode == "local" else path.name
        raise ValueError(f"model {called} cannot be used: {_why_path_unusable(path)}")
    some, why = _some_names(wanted, models), _why_missing(settings, wanted)
    raise ValueError(f"model must be one of: {some}; got {shown(wanted)}{why}")


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


def describe_file(path: Path, *, name: str | None = None, facts: FileFacts | None = None) -> ModelInfo:
    """Describe a single-file checkpoint; what NAME.json says goes before what its header implies.

    `facts` are what inspect finds, if that is known already.

    Raise ValueError saying why it cannot be used, OSError if it cannot be read; see checkpoints.inspect.
    """
    facts = facts or inspect(path)
    name = name or path.stem
    implied = ModelInfo(
        name=name,
        title=name,
        kind="file",
        path=path,
        family=facts.family,
        native_size=facts.native_size,
        size_bytes=facts.size_bytes,
        note=" ".join(filter(None, (facts.assumed, facts.left_out))),
        only_inpaints=facts.in_channels == INPAINT_CHANNELS,
    )
    return apply_overrides(
        implied,
        facts.sidecar,
        scaling_factor=SCALING_FACTORS[facts.family],
        where=f"{path.stem}.json beside it",
    )


def list_downloaded() -> list[ModelInfo]:
    """List the usable models in the hub's cache, whichever program fetched them."""
    return [
        _describe_snapshot(folder, hub_id) for hub_id, folder in list_snapshots() if not why_unusable(folder)
    ]


def _describe_snapshot(folder: Path, hub_id: str) -> ModelInfo:
    return describe_folder(folder, name=hub_id, kind="hub", overrides=curated_overrides(hub_id))


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
        return _describe_snapshot(snapshot, hub_id)
    begun = snapshot_folder(hub_id)
    try:  # a download that has begun brings its small files first
        return _describe_absent(hub_id, *(read_object(begun / name) if begun else {} for name in CONFIGS))
    except ODD_VALUES:
        return _describe_absent(hub_id, {}, {}, {})


def _describe_absent(hub_id: str, vae: JsonObject, unet: JsonObject, index: JsonObject) -> ModelInfo:
    """Describe a hub model that is not downloaded. Raise one of ODD_VALUES for a configuration's value."""
    curated = CURATED.get(hub_id)
    implied = ModelInfo(
        name=hub_id,
        title=hub_id,
        kind="hub",
        path=None,
        family=curated.family if curated else tell_family(index, unet),
        native_size=curated.native_size if curated else native_size(unet, vae),
        note="Downloaded when first used.",
        only_inpaints=curated.only_inpaints if curated else unet.get("in_channels") == INPAINT_CHANNELS,
    )
    factor = curated.scaling_factor if curated else vae.get("scaling_factor", 0.18215)
    return apply_overrides(
        implied, curated_overrides(hub_id), scaling_factor=factor, where="what is known of it"
    )


def _name_folders(folders: list[Path], models_dir: Path) -> dict[Path, str]:
    """Name folders as they are called; one that lies deeper and shares its name, with the outer one's too."""
    bearers = Counter(folder.name for folder in folders)
    return {
        folder: folder.name
        if bearers[folder.name] == 1 or folder.parent in (models_dir, EMBEDDED_DIR)
        else f"{folder.name} ({folder.parent.name})"
        for folder in folders
    }


def _children(models_dir: Path) -> tuple[list[Path], list[Path]]:
    """Return the diffusers folders and the .safetensors files of a folder. Nothing is opened.

    Of a folder that is none itself, a repository say, those in it count.
    """
    folders, files = [], []
    try:
        with os.scandir(models_dir) as entries:
            for entry in entries:
                if entry.name.startswith(".") or readable(entry.name) != entry.name:
                    continue
                if entry.name.lower().endswith(SUFFIX) and _leads_to(entry.is_file):
                    files.append(models_dir / entry.name)
                elif _leads_to(entry.is_dir):
                    folders += _pipelines_in(models_dir / entry.name)
    except OSError:
        pass  # a folder that is not there holds nothing
    return folders, sorted(files, key=attrgetter("name"))  # comparing whole paths is slow


def _pipelines_in(folder: Path) -> list[Path]:
    """Return a folder if it is a pipeline in diffusers' layout, else those in it."""
    if (folder / INDEX).is_file():
        return [folder]
    if folder.is_symlink():  # it may lead in a circle
        return []
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            plain = not entry.name.startswith(".") and readable(entry.name) == entry.name
            if (
                plain
                and not entry.is_symlink()
                and entry.is_dir()
                and (folder / entry.name / INDEX).is_file()
            ):
                found.append(folder / entry.name)
    return sorted(found)


def _leads_to(is_kind: Callable[[], bool]) -> bool:
    """Ask a folder's entry of what kind it is; a link that leads round in a circle is of none."""
    try:
        return is_kind()
    except OSError:
        return False


def _describe_files(files: list[Path], taken: list[str], cache_dir: Path) -> list[ModelInfo]:
    """Describe the usable checkpoint files. One that shares its name goes by its name with the ending."""
    bearers = Counter(taken + [file.stem for file in files])
    models, headers = [], open_header_cache(cache_dir)
    for file in files:
        name = file.name if bearers[file.stem] > 1 else file.stem
        with suppress(ValueError, OSError):
            models.append(describe_file(file, name=name, facts=headers.inspect(file)))
    headers.save()
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
        return f"reading it can run code{how_to_convert(path)}"
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
    is_name = bool(name) and Path(name).name == name and name not in (".", "..")
    if not (is_name and may_be_file(name) and is_whole(name)):
        return ""
    for suffix in ("", SUFFIX, *PICKLES):
        path = settings.models_dir / (name + suffix)
        if path.is_dir():
            return f" ({name} cannot be used: {why_unusable(path)})"
        if path.suffix in PICKLES and path.is_file():
            return f" ({path.name} is refused: reading it can run code{how_to_convert(path)})"
        if path.suffix.lower() == SUFFIX and (reason := _why_file_unusable(path)):
            return f" ({path.name} cannot be used: {reason})"
    folders, _ = _children(settings.models_dir)
    for path, called in _name_folders(folders, settings.models_dir).items():
        if name in (called, path.name) and (reason := why_unusable(path)):
            return f" ({called} cannot be used: {reason})"
    return ""


def _why_file_unusable(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return "it is a broken link"
    try:
        describe_file(path)
    except FileNotFoundError:
        return ""
    except (ValueError, OSError) as error:
        return reason_of(error, path)
    return ""
