"""Say in a sentence what a picture shows, with BLIP (Li et al. 2022): the embedded one, base or large."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import BlipForConditionalGeneration, BlipProcessor
from transformers.utils import logging as transformers_logging

from ..catalog import is_hub_id
from ..checkpoints.weight_files import shards_of
from ..hub.hub_cache import repo_folder
from ..user_files import PICKLES, read_object
from ..weights.loaders import fetch, find_safe_revision
from .models import KNOWN_CAPTIONERS

ARCHITECTURE = "BlipForConditionalGeneration"
HUB_PATTERNS = ["*.json", "vocab.txt", "*.safetensors"]
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt")
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
NUM_BEAMS = 3  # as in the paper
MAX_NEW_TOKENS = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class Captioner:
    """A BLIP in memory. Not safe to use from two threads at once."""

    name: str
    model: BlipForConditionalGeneration
    processor: BlipProcessor

    @torch.inference_mode()
    def caption(self, image: Image.Image, *, beginning: str = "") -> str:
        """Describe a picture of any size; with a beginning, go on from it. Same picture, same words.

        Raise ValueError for a beginning that leaves no room for more words.
        """
        inputs = self.processor(images=image.convert("RGB"), text=beginning or None, return_tensors="pt")
        given = inputs["input_ids"].shape[1] if beginning else 1
        room = min(MAX_NEW_TOKENS, self.model.config.text_config.max_position_embeddings - given)
        if room < 1:
            raise ValueError(
                f"beginning must be shorter for {self.name}: it is {given} tokens long (leave words out)"
            )
        inputs = inputs.to(self.model.device, self.model.dtype)
        tokens = self.model.generate(
            **inputs, num_beams=NUM_BEAMS, max_new_tokens=room, do_sample=False, early_stopping=True
        )
        return _join(self.processor.decode(tokens[0], skip_special_tokens=True))


def load_captioner(name: str | Path, device: torch.device | str, dtype: torch.dtype) -> Captioner:
    """Load BLIP from a folder in transformers' layout, or by hub id with a progress bar in the terminal.

    A downloaded one is found without a network. Raise ValueError when it cannot be used and why, OSError when
    files are damaged or cannot be fetched.
    """
    folder = _find_folder(name)
    name = folder.name if Path(name).expanduser().is_dir() else str(name)
    if reason := why_no_captioner(folder):
        raise ValueError(f"{name} cannot be used as a captioner: {reason}")
    transformers_logging.disable_progress_bar()
    try:
        model, report = BlipForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except SafetensorError as error:
        raise OSError(f"{name} cannot be read: {error} (copy or download it again)") from error
    if absent := sorted(report["missing_keys"]):
        raise ValueError(
            f"{name} cannot be used as a captioner: its weights lack {len(absent)} tensors,"
            f" for example {absent[0]} (copy or download the whole folder again)"
        )
    processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
    if len(processor.tokenizer) > model.config.text_config.vocab_size:
        raise ValueError(
            f"{name} cannot be used as a captioner: its tokenizer knows {len(processor.tokenizer):,} tokens,"
            f" its weights {model.config.text_config.vocab_size:,} (take both from one model)"
        )
    return Captioner(name=name, model=model.to(device).eval(), processor=processor)


def why_no_captioner(folder: Path) -> str:
    """Say why a folder is no BLIP captioner that can be loaded, in words for its owner; empty when it is."""
    if reason := _why_not_blip(folder) or _why_no_weights(folder):
        return reason
    for what, names in (("tokenizer", TOKENIZER_FILES), ("picture processor", PROCESSOR_FILES)):
        if not any((folder / name).is_file() for name in names):
            return f"it has no {what}: {' or '.join(names)} is missing (download it again)"
    return ""


def _why_not_blip(folder: Path) -> str:
    config = read_object(folder / "config.json")
    kind, named = config.get("model_type"), config.get("architectures")
    architectures = named if isinstance(named, list) else []
    if not config:
        return "it has no readable config.json: it is not a folder in transformers' layout"
    if kind != "blip" or ARCHITECTURE not in architectures:
        found = ", ".join(str(each) for each in architectures) or f"of type {kind}"
        return f"it is {found}, and only {ARCHITECTURE} can be used (blip-image-captioning-base, -large)"
    return ""


def _why_no_weights(folder: Path) -> str:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = shards_of(read_object(index))
        except TypeError:
            shards = set()
        if not shards:
            return f"its {index.name} cannot be read (download it again)"
        missing = sorted(shard for shard in shards if not (folder / shard).is_file())
        return f"{missing[0]} is missing (download it again)" if missing else ""
    if (folder / "model.safetensors").is_file():
        return ""
    if any(file.suffix in PICKLES for file in folder.glob("*")):
        return (
            "its weights are a pickle (.bin), and reading one can run code; if you trust its source, convert"
            f" it once, in its folder: python -c 'from transformers import {ARCHITECTURE} as B;"
            ' B.from_pretrained(".").save_pretrained(".")\''
        )
    return "it holds no model.safetensors (download it again)"


def _find_folder(name: str | Path) -> Path:
    """Return the folder meant: one on disk, else a hub model's, fetched if need be."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    hub_id = str(name)
    if isinstance(name, Path) or not is_hub_id(hub_id):
        raise ValueError(
            f"captioner must be a folder or a hub id, got {hub_id!r}, which is not a folder"
            f" (try {KNOWN_CAPTIONERS[0]})"
        )
    return _find_downloaded(hub_id) or _download(hub_id)


def _find_downloaded(hub_id: str) -> Path | None:
    """Return a complete snapshot of a hub model: of its main branch, or of its safe copy."""
    repo = repo_folder(hub_id)
    snapshots = sorted((repo / "snapshots").glob("*"))
    return next((snapshot for snapshot in snapshots if not why_no_captioner(snapshot)), None)


def _download(hub_id: str) -> Path:
    """Fetch a hub model; its configuration first, so that nothing large is fetched in vain."""
    if reason := _why_not_blip(fetch(hub_id, ["config.json"])):
        raise ValueError(f"{hub_id} cannot be used as a captioner: {reason}")
    return fetch(hub_id, HUB_PATTERNS, revision=find_safe_revision(hub_id))


def _join(text: str) -> str:
    """Put hyphenated words together again: BERT's tokenizer takes "8-bit" apart."""
    return re.sub(r"(?<=\w) - (?=\w)", "-", text).strip()
