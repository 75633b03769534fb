"""Read a checkpoint from disk or the hub into a pipeline's parts. Safetensors only, nobody else's code."""

from collections.abc import Mapping
from inspect import signature
from pathlib import Path

import diffusers
import torch
from diffusers import SchedulerMixin, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.utils import logging as diffusers_logging
from transformers import CLIPTokenizer
from transformers.utils import logging as transformers_logging

from ..checkpoints.folders import describe_folder, parts_of, weight_files, why_unusable
from ..checkpoints.model_info import ModelInfo
from ..checkpoints.noise_schedule import noise_schedule
from ..hub.download import OnProgress, download
from ..hub.http_client import hub_api
from ..hub.hub_cache import find_snapshot, hub_cache
from ..hub.hub_errors import hub_errors
from ..hub.plan import list_files, plan_download
from ..user_files import read_object
from .components import Components, LoadedParts
from .single_file import build_tokenizers, load_file

SCHEDULER_CONFIG = "scheduler/scheduler_config.json"
NO_CHECKER = {"requires_safety_checker": False, "safety_checker": None}
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
    if reason := why_unusable(folder):
        raise ValueError(f"{folder.name} cannot be used: {reason}")
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    # A variant is asked for as a whole; a part without an fp16 file falls back to its plain one.
    is_fp16 = any(".fp16" in file.name for part in parts_of(folder) for file in weight_files(folder / part))
    is_xl = describe_folder(folder).family == "sdxl"
    pipeline_class = StableDiffusionXLPipeline if is_xl else StableDiffusionPipeline
    options = {"add_watermarker": False} if is_xl else NO_CHECKER
    if (folder / SCHEDULER_CONFIG).is_file():
        options = {**options, "scheduler": load_scheduler(folder)}
    pipe = pipeline_class.from_pretrained(
        folder,
        dtype=dtype,
        variant="fp16" if is_fp16 else None,
        use_safetensors=True,
        local_files_only=True,
        feature_extractor=None,
        image_encoder=None,
        **options,
    )
    loaded = pipe.components
    parts: LoadedParts = {
        "tokenizer": loaded["tokenizer"],
        "text_encoder": loaded["text_encoder"],
        "unet": loaded["unet"],
        "vae": loaded["vae"],
        "scheduler": loaded["scheduler"],
    }
    if is_xl:
        parts["tokenizer_2"], parts["text_encoder_2"] = loaded["tokenizer_2"], loaded["text_encoder_2"]
    return parts


def load_scheduler(folder: Path) -> SchedulerMixin:
    """Load the scheduler of a usable folder: the noise it says, under its own class's defaults.

    One class needs a library that we do without; another with the same defaults stands in for it.
    """
    entry = read_object(folder / "model_index.json").get("scheduler")
    name = str(entry[1]) if isinstance(entry, list) else ""
    scheduler_class = getattr(diffusers, {"DPMSolverSDEScheduler": "LMSDiscreteScheduler"}.get(name, name))
    config = noise_schedule(read_object(folder / SCHEDULER_CONFIG))
    if "clip_sample" in signature(scheduler_class).parameters:
        config |= {"clip_sample": False}  # as latents want it; diffusers warns otherwise
    scheduler: SchedulerMixin = scheduler_class.from_config(config)
    return scheduler


def load_tokenizer(info: ModelInfo) -> CLIPTokenizer:
    """Load a model's tokenizer alone; for a hub model that is not there yet, fetch that alone."""
    if info.kind == "file":
        return build_tokenizers(info.family)["tokenizer"]
    folder = info.path or fetch(info.name, ["tokenizer/*"])
    return CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)


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
