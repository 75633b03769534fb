"""Find out what adding a hub model would fetch. Reads a few small texts over the network, writes nothing."""

import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..checkpoints.folders import (
    INPAINT_CHANNELS,
    PARTS,
    is_xl,
    native_size,
    tell_family,
    why_not_pipeline,
)
from ..checkpoints.weight_files import VARIANTS, variant_of
from ..requests import DownloadPlan, HubFile, format_bytes
from ..user_files import JsonObject
from .config_checks import PLAIN, brief, is_index, why_unsound, why_unsound_shards
from .http_client import Result, Stop, file_url, hub_api, parse_object, read_bytes, within
from .hub_cache import COMMIT, INCOMPLETE, hub_cache, is_there, repo_folder
from .hub_errors import HubError, hub_errors

LOOKUP_SECONDS = 30.0  # for a whole lookup
SMALL = ("model_index.json", "unet/config.json", "vae/config.json")  # what a model is known by
ADDRESS = re.compile(r"(?:https?://)?(?:huggingface\.co|hf\.co)/([^/?#]+/[^/?#]+)")
BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MAX_TEXT = 1_000_000  # bytes of a configuration
MAX_LISTING = 5_000_000  # bytes of the list of a repository's files: more than 10,000 of them
MAX_SIZE = 10**17  # bytes of a file: more than the hub holds
MAX_PATH = 255  # bytes of a path in a repository: what a file system takes of a name
OTHER_PAGES = {
    "datasets": "a dataset",
    "spaces": "a Space",
    "buckets": "a bucket",
    "kernels": "a kernel",
    "collections": "a collection",
    **dict.fromkeys(("models", "api", "docs", "papers", "blog", "posts"), "no model"),
}


def read_hub_id(text: str) -> str:
    """Return the hub id in what a person typed, also from a page's address. Raise ValueError for none."""
    typed = text.strip().strip("/")
    if found := ADDRESS.match(typed):
        typed = found[1]
    owner, slash, name = typed.partition("/")
    if kind := OTHER_PAGES.get(owner.lower()):
        raise ValueError(
            f"the hub id must be that of a model, got {text[:80]!r}, which is {kind} (open the model's page"
            " and copy its address)"
        )
    if not (slash and PLAIN.fullmatch(owner) and PLAIN.fullmatch(name)) or owner.startswith("."):
        raise ValueError(
            f"the hub id must be owner/name, got {text[:80]!r}"
            " (try stable-diffusion-v1-5/stable-diffusion-v1-5)"
        )
    return typed


def plan_download(hub_id: str, waiting: Callable[[], None] | None = None) -> DownloadPlan:
    """Ask the hub what a model is and which files of it are still to be fetched.

    waiting is called five times a second; what it raises, Cancelled say, ends the lookup and comes out of
    here. Raise ValueError for what is no usable model, OSError when the hub cannot be reached.
    """
    hub_id = read_hub_id(hub_id)
    return look_up(hub_id, lambda stop: _plan(hub_id, stop), waiting)


def list_files(hub_id: str) -> list[str]:
    """List the files of a hub model's main branch. Raise ValueError or OSError in words."""
    return look_up(hub_id, lambda stop: list(_ask_listing(hub_id, stop).siblings))


def look_up(hub_id: str, work: Callable[[Stop], Result], waiting: Callable[[], None] | None = None) -> Result:
    """Do what asks the hub about a model, within its time. Raise OSError in words when that is up."""
    try:
        return within(LOOKUP_SECONDS, work, waiting)
    except TimeoutError as error:
        raise HubError(
            f"{hub_id} cannot be downloaded: the hub takes more than {LOOKUP_SECONDS:.0f} seconds to say"
            " what it is (try again later)"
        ) from error


def _plan(hub_id: str, stop: Stop) -> DownloadPlan:
    listing = _ask_listing(hub_id, stop)
    siblings, revision = listing.siblings, listing.revision
    if "model_index.json" not in siblings:
        raise ValueError(f"{hub_id} cannot be used: {_why_no_index(list(siblings))}")
    repo, cache = repo_folder(hub_id), hub_cache()

    def describe(path: str) -> HubFile:
        return _describe_file(hub_id, repo, revision, path, siblings[path])

    def read(path: str) -> JsonObject:
        return _read_json(hub_id, revision, describe(path), stop) if path in siblings else {}

    index, unet, vae = (read(path) for path in SMALL)
    if reason := why_unsound(index, unet, vae) or why_not_pipeline(index, unet):
        raise ValueError(f"{hub_id} cannot be used: {reason}")
    pipeline = str(index["_class_name"])
    paths = choose_files(hub_id, list(siblings), has_second=is_xl(index))
    files = tuple(describe(path) for path in paths)
    for path in filter(is_index, paths):
        if reason := why_unsound_shards(path, read(path), paths):
            raise ValueError(f"{hub_id} cannot be used: {reason}")
    return DownloadPlan(
        hub_id=hub_id,
        revision=revision,
        pipeline=pipeline,
        family=tell_family(index, unet),
        native_size=native_size(unet, vae),
        only_inpaints=unet.get("in_channels") == INPAINT_CHANNELS,
        files=files,
        license=listing.license,
        gated=listing.gated,
        folder=repo,
        free_bytes=shutil.disk_usage(next(path for path in (cache, *cache.parents) if path.exists())).free,
    )


def choose_files(hub_id: str, paths: list[str], *, has_second: bool) -> list[str]:
    """Choose what a load reads: configurations and tokenizers first, then the weights of each part."""
    parts = PARTS if has_second else PARTS[:-1]
    weights = choose_weights(hub_id, paths, parts)
    folders = (*parts, "scheduler", "tokenizer", *(("tokenizer_2",) if has_second else ()))
    small = [path for path in paths if _is_small(path, folders, weights)]
    return ["model_index.json", *sorted(small), *weights]


def _is_small(path: str, folders: tuple[str, ...], weights: list[str]) -> bool:
    folder, slash, name = path.partition("/")
    if not slash or folder not in folders or not PLAIN.fullmatch(name) or name.startswith("."):
        return False
    if ".index." in name:  # which shard holds what: only that of the weights we take
        shards = [weight for weight in weights if weight.startswith(f"{folder}/") and "-of-" in weight]
        return ".safetensors" in name and bool(shards) and variant_of(name) == variant_of(shards[0])
    return name.endswith(".json") or (folder.startswith("tokenizer") and name.endswith(".txt"))


def choose_weights(hub_id: str, paths: list[str], parts: tuple[str, ...]) -> list[str]:
    """Choose the weight files of each part: the fp16 ones, else the plain ones, else those there are.

    Raise ValueError if a part has none in safetensors.
    """
    chosen: list[str] = []
    for part in parts:
        stem = "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"
        kinds = r"\.(?:fp16|bf16|fp32)"
        shape = re.compile(rf"{part}/{stem}(?P<early>{kinds})?(-\d+-of-\d+)?(?P<late>{kinds})?\.safetensors")
        found: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            if match := shape.fullmatch(path):
                found[(match["early"] or match["late"] or "").removeprefix(".")].append(path)
        files = next((found[variant] for variant in VARIANTS if variant in found), [])
        if not files:
            raise ValueError(
                f"{hub_id} holds no safetensors weights for its {part}, and pickles (.bin, .ckpt) are refused"
                " because reading them can run code (choose another model id, or a converted copy)"
            )
        whole = [path for path in files if "-of-" not in path]
        chosen += sorted(whole or files)
    return chosen


@dataclass(frozen=True, kw_only=True)
class _Listing:
    """What the hub says of a repository's main branch."""

    revision: str  # its commit
    siblings: dict[str, JsonObject]  # what is said of each file, by its path
    license: str
    gated: bool  # its terms have to be accepted


def _ask_listing(hub_id: str, stop: Stop) -> _Listing:
    """Ask which commit a model's main branch is at and what it holds."""
    from huggingface_hub.utils import validate_repo_id

    with hub_errors(hub_id):
        validate_repo_id(hub_id)
        # Not model_info of the hub's client: that one reads whatever comes.
        content = read_bytes(f"{hub_api().endpoint}/api/models/{hub_id}?blobs=true", MAX_LISTING, stop)
    if content is None:
        raise ValueError(
            f"{hub_id} cannot be used: the hub's list of its files is larger than {format_bytes(MAX_LISTING)}"
            " (choose another model id)"
        )
    listing = parse_object(content) or {}
    siblings = listing.get("siblings")
    if not isinstance(siblings, list) or not all(map(_is_named, siblings)):
        raise HubError(
            f"{hub_id} cannot be downloaded: what arrived is not a list of its files (try again later, or"
            " check whether the connection or HF_ENDPOINT leads elsewhere)"
        )
    if not COMMIT.fullmatch(str(listing.get("sha"))):
        raise HubError(f"{hub_id} cannot be downloaded: the hub names no commit of it (try again later)")
    return _Listing(
        revision=str(listing["sha"]),
        siblings={sibling["rfilename"]: sibling for sibling in siblings},
        license=_license(listing),
        gated=bool(listing.get("gated")),
    )


def _is_named(sibling: object) -> bool:
    return isinstance(sibling, dict) and isinstance(sibling.get("rfilename"), str)


def _read_json(hub_id: str, revision: str, file: HubFile, stop: Stop) -> JsonObject:
    """Fetch a small text of a repository into memory, and see that it is the one that would be downloaded."""
    content = None
    if file.size_bytes <= MAX_TEXT:
        with hub_errors(hub_id):
            content = read_bytes(file_url(hub_id, revision, file.path), MAX_TEXT, stop)
    if content is None:
        raise ValueError(
            f"{hub_id} cannot be used: its {file.path} is larger than {format_bytes(MAX_TEXT)}"
            " (choose another model id)"
        )
    check = file.start_hash()
    check.update(content)
    if check.hexdigest() != file.blob:
        raise HubError(
            f"{file.path} of {hub_id} arrived damaged: its checksum is not the hub's (try again later)"
        )
    value = parse_object(content)
    if value is None:
        raise ValueError(f"{hub_id} cannot be used: its {file.path} is not a JSON object")
    return value


def _describe_file(hub_id: str, repo: Path, revision: str, path: str, sibling: JsonObject) -> HubFile:
    lfs, size = sibling.get("lfs"), sibling.get("size")
    blob = lfs.get("sha256") if isinstance(lfs, dict) else sibling.get("blobId")
    if not isinstance(blob, str) or not BLOB.fullmatch(blob):
        raise HubError(f"{hub_id} cannot be downloaded: the hub does not say what {brief(path)} is")
    if len(path.encode()) > MAX_PATH:
        raise ValueError(f"{hub_id} cannot be used: a name in it is too long for a disk: {brief(path)}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise HubError(
            f"{hub_id} cannot be downloaded: the size of {path} must be a whole number of bytes, and the hub"
            f" says {brief(size)} (try again later)"
        )
    missing = _missing_bytes(repo, revision, path, blob, size)
    return HubFile(path=path, size_bytes=size, blob=blob, missing_bytes=missing)


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
            "it is not a diffusers repository (no model_index.json); if its .safetensors file is a whole"
            " Stable Diffusion, download that into models/"
        )
    return "it is not a diffusers repository (no model_index.json)"


def _license(listing: JsonObject) -> str:
    card, tags = listing.get("cardData"), listing.get("tags")
    known = card if isinstance(card, dict) else {}
    named = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    tagged = " ".join(tag.removeprefix("license:") for tag in named if tag.startswith("license:"))
    text = str(known.get("license_name") or known.get("license") or tagged)
    return "".join(letter for letter in text[:80] if letter.isprintable())
