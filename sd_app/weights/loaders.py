"""Read a checkpoint from disk or the hub into a pipeline's parts. Safetensors only, nobody else's code."""

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import diffusers
import torch
from diffusers import DDIMScheduler, SchedulerMixin
from transformers import CLIPTokenizer

from ..checkpoints.configs import SCHEDULER
from ..checkpoints.folder_parts import FolderParts, has_tokenizer
from ..checkpoints.folders import find_parts_of
from ..checkpoints.model_info import ModelInfo
from ..checkpoints.noise_schedule import noise_schedule
from ..checkpoints.tokenizer_files import KEPT, TokenizerFiles, tokenizer_files
from ..hub.download import OnProgress, download
from ..hub.http_client import hub_api
from ..hub.hub_cache import find_snapshot, hub_cache
from ..hub.hub_errors import hub_errors
from ..hub.plan import list_files, plan_download
from ..user_files import read_object, reason_of
from .components import Components, LoadedParts
from .single_file import build_networks, build_tokenizers, load_file

V_SAMPLE_SIZE = 96  # latents of a side, of Stable Diffusion 2's models of 768 pixels, which predict v
# Hugging Face's service that turns pickles into safetensors, and the title of what it proposes.
CONVERTER = "SFconvertbot"
CONVERTED_TITLE = "Adding `safetensors` variant of this model"


def load_components(info: ModelInfo, dtype: torch.dtype) -> tuple[Components, Mapping[str, object]]:
    """Load all parts of a model into main memory; return them, and its scheduler's own configuration.

    Raise OSError when files are damaged or cannot be fetched, ValueError when they cannot be used.
    """
    if info.kind == "file":
        assert info.path is not None
        parts = load_file(info.path, dtype)
    else:
        parts = load_folder(info.path or download_snapshot(info.name), dtype)
    scheduler_config: Mapping[str, object] = parts.pop("scheduler").config
    return parts, scheduler_config


def load_folder(folder: Path, dtype: torch.dtype) -> LoadedParts:
    """Load a diffusers folder of Stable Diffusion 1, 2 or XL."""
    try:
        parts = find_parts_of(folder)
        networks = build_networks(
            parts.unet,
            parts.vae,
            parts.text_encoders,
            (parts.unet_sources, parts.vae_sources, *parts.text_sources),
            dtype,
        )
    except ValueError as error:
        raise ValueError(f"{folder.name} cannot be used: {error}") from error
    except OSError as error:
        raise OSError(f"{folder.name} cannot be read: {reason_of(error, folder)}") from error
    loaded: LoadedParts = {
        **load_tokenizers(folder, parts.family),
        **networks,
        "scheduler": _load_scheduler(folder, parts),
    }
    return loaded


def _load_scheduler(folder: Path, parts: FolderParts) -> SchedulerMixin:
    """Make a folder's scheduler; one that is missing is Stable Diffusion's own."""
    if not parts.scheduler:
        is_v = parts.family == "sd2" and parts.unet.get("sample_size") == V_SAMPLE_SIZE
        prediction_type = "v_prediction" if is_v else "epsilon"
        return DDIMScheduler(**(SCHEDULER | {"prediction_type": prediction_type}))
    config = noise_schedule(read_object(folder / "scheduler/scheduler_config.json"))
    # It needs a library that we do without; another with the same defaults stands in for it.
    name = {"DPMSolverSDEScheduler": "LMSDiscreteScheduler"}.get(parts.scheduler, parts.scheduler)
    return getattr(diffusers, name).from_config(config)


def load_tokenizers(folder: Path, family: str) -> Components:
    """Load a folder's tokenizers; one that is missing or damaged is CLIP's own."""
    names = ("tokenizer", "tokenizer_2") if family == "sdxl" else ("tokenizer",)
    found = {name: _read_tokenizer(folder / name) for name in names}
    loaded = Components() if all(one is not None for one in found.values()) else build_tokenizers(family)
    for name, tokenizer in found.items():
        if tokenizer is not None:
            loaded[name] = tokenizer  # type: ignore[literal-required]
    return loaded


def _read_tokenizer(folder: Path) -> CLIPTokenizer | None:
    """Return the tokenizer in a folder; None if it cannot be read."""
    if has_tokenizer(folder):
        with suppress(Exception):  # the library raises whatever its reader of strangers' JSON does
            return _tokenizer_of(tokenizer_files(folder))
    return None


@lru_cache(maxsize=KEPT)
def _tokenizer_of(files: TokenizerFiles) -> CLIPTokenizer:
    """Read a tokenizer, a quarter of a second; most models have the same one. Nobody changes it."""
    return CLIPTokenizer.from_pretrained(files.folder, local_files_only=True)


def load_tokenizer(info: ModelInfo) -> CLIPTokenizer:
    """Load a model's tokenizer alone; for a hub model that is not there yet, fetch that alone."""
    if info.kind == "file":
        return build_tokenizers(info.family)["tokenizer"]
    folder = info.path or fetch(info.name, ["tokenizer/*"])
    tokenizer = _read_tokenizer(folder / "tokenizer")
    return tokenizer if tokenizer is not None else build_tokenizers(info.family)["tokenizer"]


def download_snapshot(hub_id: str, on_progress: OnProgress | None = None) -> Path:
    """Fetch a hub model's fp16 safetensors, or its plain ones; what is there already is not fetched again.

    on_progress may raise Cancelled, which comes out of here; without it a bar runs in the terminal.
    """
    return find_snapshot(hub_id) or download(plan_download(hub_id), on_progress)


def find_safe_revision(hub_id: str) -> str:
    """Return the revision of a hub model that holds safetensors in its top folder.

    That is "main", or the request with the same weights which the hub's own conversion service has opened:
    older models, BLIP's base among them, have only a pickle on their main branch. Raise ValueError if none.
    """
    if any("/" not in file and file.endswith(".safetensors") for file in list_files(hub_id)):
        return "main"
    with hub_errors(hub_id):
        requests = hub_api().get_repo_discussions(
            hub_id, author=CONVERTER, discussion_type="pull_request", discussion_status="open"
        )
        for request in requests:
            if request.title == CONVERTED_TITLE and request.author == CONVERTER:
                return f"refs/pr/{request.num}"
    raise ValueError(
        f"{hub_id} holds no safetensors weights, and pickles (.bin) are refused because reading them can run"
        " code (choose another model id, or a converted copy)"
    )


def fetch(hub_id: str, patterns: list[str], *, revision: str = "main") -> Path:
    """Download the files of those patterns and return their folder. Raise OSError or ValueError in words."""
    from huggingface_hub import snapshot_download

    with hub_errors(hub_id):
        return Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=patterns, cache_dir=hub_cache())
        )
