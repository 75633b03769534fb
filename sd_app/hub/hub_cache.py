"""Hugging Face's download folder: models--OWNER--NAME with blobs, snapshots of links to them, refs.

Other tools read and write the same folder, so nothing is kept here that they would not understand.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..checkpoints.folders import why_unusable

PREFIX = "models--"
INCOMPLETE = ".incomplete"  # a file that is on its way, as the hub's own client names it
COMMIT = re.compile(r"[0-9a-f]{40}")


def hub_cache() -> Path:
    """Return Hugging Face's download folder, as the environment says now, empty values not counted.

    The order is that of huggingface_hub.constants, which reads the environment once, at its import.
    """
    told = os.environ.get
    home = told("HF_HOME") or Path(told("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    folder = told("HF_HUB_CACHE") or told("HUGGINGFACE_HUB_CACHE") or Path(home, "hub")
    return Path(os.path.expandvars(Path(folder).expanduser()))


def repo_folder(hub_id: str) -> Path:
    """Return the folder of a hub id's files; it need not be there."""
    return hub_cache() / (PREFIX + hub_id.replace("/", "--"))


def snapshot_folder(hub_id: str) -> Path | None:
    """Return the folder of what is there of a hub id's main branch, whole or not; None if nothing is."""
    repo = repo_folder(hub_id)
    try:
        commit = (repo / "refs/main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    # A name that is no plain one would lead out of the folder.
    return repo / "snapshots" / commit if commit and Path(commit).name == commit else None


def find_snapshot(hub_id: str) -> Path | None:
    """Return the downloaded, complete snapshot of a hub id's main branch, or None."""
    snapshot = snapshot_folder(hub_id)
    return None if snapshot is None or why_unusable(snapshot) else snapshot


def list_snapshots() -> Iterator[tuple[str, Path]]:
    """Yield hub id and folder of each pipeline in the cache, whole or not, by one small file each."""
    try:
        with os.scandir(hub_cache()) as entries:
            names = sorted(entry.name for entry in entries if entry.name.startswith(PREFIX))
    except OSError:
        return
    for name in names:
        owner, separator, repo = name.removeprefix(PREFIX).partition("--")
        hub_id = f"{owner}/{repo}"
        if not separator or "--" in repo:  # an id of one word, or no id at all
            continue
        folder = snapshot_folder(hub_id)
        if folder is not None and (folder / "model_index.json").is_file():
            yield hub_id, folder


def is_there(repo: Path, revision: str, path: str, blob: str) -> bool:
    """Tell whether a file of a commit is in the cache, linked or not yet."""
    return (repo / "snapshots" / revision / path).is_file() or (repo / "blobs" / blob).is_file()


def link(repo: Path, revision: str, path: str, blob: str) -> None:
    """Make a file of a commit visible in its snapshot. Raise OSError if that cannot be."""
    pointer = repo / "snapshots" / revision / path
    if pointer.is_file():
        return
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)  # a link that leads nowhere
    target = repo / "blobs" / blob
    try:
        pointer.symlink_to(os.path.relpath(target, pointer.parent))
    except OSError:  # Windows without the right to make links: the hub's client moves it too
        shutil.move(target, pointer)


def point_main(repo: Path, revision: str) -> None:
    """Make a commit the one that the main branch is at."""
    ref = repo / "refs/main"
    ref.parent.mkdir(parents=True, exist_ok=True)
    fresh = ref.with_name(f"main.{os.getpid()}.tmp")
    fresh.write_text(revision, encoding="utf-8")
    fresh.replace(ref)


def remove(hub_id: str) -> int:
    """Delete all that is there of a hub id; return how many bytes that frees. Raise OSError."""
    repo = repo_folder(hub_id)
    freed = sum(file.stat().st_size for file in repo.rglob("*") if file.is_file() and not file.is_symlink())
    if repo.is_dir():
        shutil.rmtree(repo)
    return freed
