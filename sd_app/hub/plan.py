"""Find out what adding a hub model would fetch. Reads three small texts over the network, writes nothing."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from ..folders import INPAINT_CHANNELS, PARTS, XL_PIPELINES, native_size, tell_family, why_not_pipeline
from ..requests import DownloadPlan, HubFile
from .cache import COMMIT, INCOMPLETE, hub_cache, is_there, repo_folder
from .errors import hub_errors

TIMEOUT = 10.0  # seconds for the hub to answer
SMALL = ("model_index.json", "unet/config.json", "vae/config.json")  # what a model is known by
ADDRESS = re.compile(r"(?:https?://)?(?:huggingface\.co|hf\.co)/([^/?#]+/[^/?#]+)")
PLAIN = re.compile(r"[\w.-]+")  # a file's name that stays inside its folder
BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MAX_TEXT = 1_000_000  # bytes of a configuration


def read_hub_id(text: str) -> str:
    """Return the hub id in what a person typed, also from a page's address. Raise ValueError for none."""
    typed = text.strip().strip("/")
    if found := ADDRESS.match(typed):
        typed = found[1]
    owner, slash, name = typed.partition("/")
    if not (slash and PLAIN.fullmatch(owner) and PLAIN.fullmatch(name)) or owner.startswith("."):
        raise ValueError(
            f"the hub id must be owner/name, got {text[:80]!r}"
            " (try stable-diffusion-v1-5/stable-diffusion-v1-5)"
        )
    return typed


def plan_download(hub_id: str) -> DownloadPlan:
    """Ask the hub what a model is and which files of it are still to be fetched.

    Raise ValueError for what is no usable model, OSError when the hub cannot be reached.
    """
    hub_id = read_hub_id(hub_id)
    with hub_errors(hub_id):
        info = hub_api().model_info(hub_id, files_metadata=True, timeout=TIMEOUT)
    siblings = {file.rfilename: file for file in info.siblings or ()}
    revision = info.sha or ""
    if not COMMIT.fullmatch(revision):
        raise OSError(f"{hub_id} cannot be downloaded: the hub names no commit of it (try again later)")
    if "model_index.json" not in siblings:
        raise ValueError(f"{hub_id} cannot be used: {_why_no_index(list(siblings))}")
    index, unet, vae = (_read_json(hub_id, revision, path) if path in siblings else {} for path in SMALL)
    if reason := why_not_pipeline(index, unet):
        raise ValueError(f"{hub_id} cannot be used: {reason}")
    paths = choose_files(hub_id, list(siblings), is_xl=index["_class_name"] in XL_PIPELINES)
    repo, cache = repo_folder(hub_id), hub_cache()
    return DownloadPlan(
        hub_id=hub_id,
        revision=revision,
        pipeline=index["_class_name"],
        family=tell_family(index, unet),
        native_size=native_size(unet, vae),
        only_inpaints=unet.get("in_channels") == INPAINT_CHANNELS,
        files=tuple(_describe_file(hub_id, repo, revision, siblings[path]) for path in paths),
        license=_license(info),
        gated=bool(info.gated),
        folder=repo,
        free_bytes=shutil.disk_usage(next(path for path in (cache, *cache.parents) if path.exists())).free,
    )


def choose_files(hub_id: str, paths: list[str], *, is_xl: bool) -> list[str]:
    """Choose what a load reads: configurations and tokenizers first, then the weights of each part."""
    parts = PARTS if is_xl else PARTS[:-1]
    weights = choose_weights(hub_id, paths, parts)
    folders = (*parts, "scheduler", "tokenizer", *(("tokenizer_2",) if is_xl else ()))
    small = [path for path in paths if _is_small(path, folders, weights)]
    return ["model_index.json", *sorted(small), *weights]


def _is_small(path: str, folders: tuple[str, ...], weights: list[str]) -> bool:
    folder, slash, name = path.partition("/")
    if not slash or folder not in folders or not PLAIN.fullmatch(name) or name.startswith("."):
        return False
    if ".index." in name:  # which shard holds what: only that of the weights we take
        shards = [weight for weight in weights if weight.startswith(f"{folder}/") and "-of-" in weight]
        return ".safetensors" in name and bool(shards) and (".fp16" in name) == (".fp16" in shards[0])
    return name.endswith(".json") or (folder.startswith("tokenizer") and name.endswith(".txt"))


def choose_weights(hub_id: str, paths: list[str], parts: tuple[str, ...]) -> list[str]:
    """Choose the weight files of each part: the fp16 ones, else the plain ones.

    Raise ValueError if a part has none in safetensors.
    """
    chosen: list[str] = []
    for part in parts:
        stem = "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"
        shape = re.compile(rf"{part}/{stem}(?P<half>\.fp16)?(-\d+-of-\d+)?(?P<late>\.fp16)?\.safetensors")
        found = {path: match for path in paths if (match := shape.fullmatch(path))}
        half = [path for path, match in found.items() if match["half"] or match["late"]]
        files = half or list(found)
        if not files:
            raise ValueError(
                f"{hub_id} holds no safetensors weights for its {part}, and pickles (.bin, .ckpt) are refused"
                " because reading them can run code (choose another model id, or a converted copy)"
            )
        whole = [path for path in files if "-of-" not in path]
        chosen += sorted(whole or files)
    return chosen


def hub_api() -> Any:
    """Return the hub's client for the endpoint that the environment says now."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


def file_url(hub_id: str, revision: str, path: str) -> str:
    """Return the address of one file of a commit."""
    from huggingface_hub import hf_hub_url

    return hf_hub_url(hub_id, path, revision=revision, endpoint=os.environ.get("HF_ENDPOINT") or None)


def _read_json(hub_id: str, revision: str, path: str) -> dict[str, Any]:
    """Fetch a small text of a repository into memory."""
    from huggingface_hub import get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    with hub_errors(hub_id):
        url = file_url(hub_id, revision, path)
        answer = get_session().get(url, headers=build_hf_headers(), timeout=TIMEOUT)
        hf_raise_for_status(answer)
    try:
        value = json.loads(answer.content[:MAX_TEXT])
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{hub_id} cannot be used: its {path} is no JSON object")
    return value


def _describe_file(hub_id: str, repo: Path, revision: str, sibling: Any) -> HubFile:
    blob = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    if not isinstance(sibling.size, int) or not isinstance(blob, str) or not BLOB.fullmatch(blob):
        raise OSError(f"{hub_id} cannot be downloaded: the hub does not say what {sibling.rfilename} is")
    return HubFile(
        path=sibling.rfilename,
        size_bytes=sibling.size,
        blob=blob,
        missing_bytes=_missing_bytes(repo, revision, sibling.rfilename, blob, sibling.size),
    )


def _missing_bytes(repo: Path, revision: str, path: str, blob: str, size: int) -> int:
    if is_there(repo, revision, path, blob):
        return 0
    try:
        return max(0, size - (repo / "blobs" / (blob + INCOMPLETE)).stat().st_size)
    except OSError:
        return size


def _why_no_index(paths: list[str]) -> str:
    if any("/" not in path and path.endswith(".safetensors") for path in paths):
        return (
            "it is no diffusers repository (no model_index.json); if its .safetensors file is a whole Stable"
            " Diffusion, download that into models/"
        )
    return "it is no diffusers repository (no model_index.json)"


def _license(info: Any) -> str:
    named = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
    card = info.card_data
    text = getattr(card, "license_name", None) or getattr(card, "license", None) or " ".join(named)
    return str(text or "")[:80]
