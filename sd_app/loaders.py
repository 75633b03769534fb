"""Read a checkpoint from disk or the hub into a pipeline's parts. Safetensors only, nobody else's code."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import logging as diffusers_logging
from transformers import CLIPTokenizer
from transformers.utils import logging as transformers_logging

from .catalog import (
    PARTS,
    describe_folder,
    find_snapshot,
    hub_cache,
    parts_of,
    weight_files,
    why_unusable,
)
from .model_info import ModelInfo
from .pipelines import OPTIONS, XL_OPTIONS, choose_pipeline
from .single_file import build_tokenizers, load_file

# Hugging Face's service that turns pickles into safetensors, and the title of what it proposes.
CONVERTER = "SFconvertbot"
CONVERTED_TITLE = "Adding `safetensors` variant of this model"


def load_components(info: ModelInfo, dtype: torch.dtype) -> dict[str, Any]:
    """Load all parts of a model into main memory, by the name the pipeline gives them.

    Raise OSError when files are damaged or cannot be fetched, ValueError when they cannot be used.
    """
    if info.kind == "file":
        assert info.path is not None
        return load_file(info.path, dtype)
    return load_folder(info.path or download_snapshot(info.name), dtype)


def load_folder(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    """Load a diffusers folder of Stable Diffusion 1, 2 or XL."""
    if reason := why_unusable(folder):
        raise ValueError(f"{folder.name} cannot be used: {reason}")
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    # A variant is asked for as a whole; a part without an fp16 file falls back to its plain one.
    is_fp16 = any(".fp16" in file.name for part in parts_of(folder) for file in weight_files(folder / part))
    is_xl = describe_folder(folder).family == "sdxl"
    unwanted = XL_OPTIONS if is_xl else {**OPTIONS, "safety_checker": None}
    pipe = choose_pipeline("txt2img", 4, is_xl=is_xl).from_pretrained(
        folder,
        dtype=dtype,
        variant="fp16" if is_fp16 else None,
        use_safetensors=True,
        local_files_only=True,
        feature_extractor=None,
        image_encoder=None,
        **unwanted,
    )
    return dict(pipe.components)


def load_tokenizer(info: ModelInfo) -> CLIPTokenizer:
    """Load a model's tokenizer alone; for a hub model that is not there yet, fetch that alone."""
    if info.kind == "file":
        return build_tokenizers(info.family)["tokenizer"]
    folder = info.path or fetch(info.name, ["tokenizer/*"])
    return CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)


def download_snapshot(hub_id: str) -> Path:
    """Fetch a hub model's fp16 safetensors, or its plain ones, with a progress bar in the terminal."""
    if (snapshot := find_snapshot(hub_id)) is not None:
        return snapshot
    patterns = [
        "model_index.json",
        "*/*.json",
        "tokenizer*/*",
        *_weight_patterns(hub_id, _list_files(hub_id)),
    ]
    folder = fetch(hub_id, patterns)
    if reason := why_unusable(folder):
        raise ValueError(f"{hub_id} cannot be used: {reason}")
    return folder


def _weight_patterns(hub_id: str, files: list[str]) -> list[str]:
    """Choose the weight files of each part among a repository's files; raise ValueError if one has none."""
    chosen: list[str] = []
    parts = PARTS if any(file.startswith("text_encoder_2/") for file in files) else PARTS[:-1]
    for part in parts:
        stem = "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"
        found = [f for f in files if f.startswith(f"{part}/{stem}") and f.endswith(".safetensors")]
        half = [file for file in found if ".fp16" in file]
        plain = [file for file in found if file.count(".") == 1]
        if not (half or plain):
            raise ValueError(
                f"{hub_id} holds no safetensors weights for its {part}, and pickles (.bin, .ckpt) are refused"
                " because reading them can run code (choose another model id, or a converted copy)"
            )
        chosen += half or plain
    return chosen


def find_safe_revision(hub_id: str) -> str:
    """Return the revision of a hub model that holds safetensors in its top folder.

    That is "main", or the request with the same weights which the hub's own conversion service has opened:
    older models, BLIP's base among them, have only a pickle on their main branch. Raise ValueError if none.
    """
    if any("/" not in file and file.endswith(".safetensors") for file in _list_files(hub_id)):
        return "main"
    from huggingface_hub import HfApi

    with hub_errors(hub_id):
        requests = HfApi().get_repo_discussions(
            hub_id, author=CONVERTER, discussion_type="pull_request", discussion_status="open"
        )
        for request in requests:
            if request.title == CONVERTED_TITLE and request.author == CONVERTER:
                return f"refs/pr/{request.num}"
    raise ValueError(
        f"{hub_id} holds no safetensors weights, and pickles (.bin) are refused because reading them can run"
        " code (choose another model id, or a converted copy)"
    )


def _list_files(hub_id: str) -> list[str]:
    from huggingface_hub import HfApi

    with hub_errors(hub_id):
        # Not list_repo_files: without a network that one tries again for 23 seconds.
        return [file.rfilename for file in HfApi().model_info(hub_id).siblings or ()]


def fetch(hub_id: str, patterns: list[str], *, revision: str = "main") -> Path:
    """Download the files of those patterns and return their folder. Raise OSError or ValueError in words."""
    from huggingface_hub import snapshot_download

    with hub_errors(hub_id):
        return Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=patterns, cache_dir=hub_cache())
        )


@contextmanager
def hub_errors(hub_id: str, instead: str = "give a folder that holds it") -> Iterator[None]:
    """Turn what the hub's client raises into words for the person who typed the id.

    `instead` says what helps without a connection.
    """
    # HTTPError is whatever the hub's HTTP library raises without a connection; it has changed library before.
    from huggingface_hub.errors import GatedRepoError, HFValidationError, HTTPError, RepositoryNotFoundError

    try:
        yield
    except GatedRepoError as error:
        raise ValueError(
            f"{hub_id} asks for its terms to be accepted: do so on huggingface.co, then run `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ValueError(f"there is no public model {hub_id} on huggingface.co") from error
    except (HTTPError, OSError, RuntimeError) as error:
        raise OSError(
            f"{hub_id} cannot be downloaded: {error} (connect once to fetch it, or {instead})"
        ) from error
