"""Tables of text features: built once, kept on disk in half precision, mapped into memory, never downloaded.

A group of phrases is cut into shards, a file each, named by the hash of its phrases within a folder named by
the hash of the text tower. A stopped build goes on with the next shard; what is not whole is made again.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .phrases import PhraseGroup
from .text_tower import TextTower

SHARD_PHRASES = 4096  # of a file: seconds of work, 6 MB at 768 dimensions
KEY = "features"

Shard = NDArray[np.float16]  # unit features of at most SHARD_PHRASES phrases, (n, D)
Progress = Callable[[int, int], None]  # phrases done, of how many; may raise Cancelled


@dataclass(frozen=True, kw_only=True)
class PhraseTable:
    """A group's phrases and their unit features, float16 (n, D) a shard."""

    name: str
    phrases: tuple[str, ...]
    shards: tuple[Shard, ...]

    def cosines(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each phrase's cosine with a unit (D,) float32 picture, (N,)."""
        if not self.shards:
            return np.empty(0, np.float32)
        return np.concatenate([shard.astype(np.float32) @ picture for shard in self.shards])

    def rows(self, indices: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the features of some phrases, (len(indices), D)."""
        places = [divmod(int(index), SHARD_PHRASES) for index in indices]
        return np.array([self.shards[shard][row] for shard, row in places], np.float32)

    def mean(self) -> NDArray[np.float32]:
        """Return the mean of all features, (D,)."""
        total = np.sum([shard.astype(np.float32).sum(axis=0) for shard in self.shards], axis=0)
        return np.asarray(total / len(self.phrases), np.float32)


def build_tables(
    groups: Sequence[PhraseGroup], tower: TextTower, key: str, cache_dir: Path, progress: Progress
) -> tuple[PhraseTable, ...]:
    """Return the tables of groups, from disk as far as they are there. `key` names tower and weights.

    Raise OSError when the cache cannot be written.
    """
    folder = cache_dir / key
    shards = [(group, cut) for group in groups for cut in _cut(group.phrases)]
    total, done = sum(len(cut) for _, cut in shards), 0
    found: dict[str, list[Shard]] = {group.name: [] for group in groups}
    for group, cut in shards:
        features = read_shard(folder / _name(cut), len(cut))
        if features is None:
            features = _build(cut, tower, folder, partial(_tell, progress, done, total))
        found[group.name].append(features)
        done += len(cut)
    progress(done, total)
    return tuple(PhraseTable(name=g.name, phrases=g.phrases, shards=tuple(found[g.name])) for g in groups)


def read_tables(groups: Sequence[PhraseGroup], key: str, cache_dir: Path) -> tuple[PhraseTable, ...]:
    """Return the tables that are on disk as a whole already; builds none."""
    tables = []
    for group in groups:
        shards = [read_shard(cache_dir / key / _name(cut), len(cut)) for cut in _cut(group.phrases)]
        if all(shard is not None for shard in shards):
            tables.append(PhraseTable(name=group.name, phrases=group.phrases, shards=tuple(shards)))  # type: ignore[arg-type]
    return tuple(tables)


def tower_key(tower: TextTower) -> str:
    """Return the hash of everything a text's features depend on: weights, structure and tokenizer."""
    digest = hashlib.sha256(tower.describe().encode())
    for name, tensor in tower.weights():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def read_shard(path: Path, count: int) -> Shard | None:
    """Map a file of `count` features into memory; None if it is not there or not whole."""
    try:
        with safe_open(path, "pt") as file:  # of the libraries, torch's maps the file; NumPy's reads it
            features = file.get_tensor(KEY).numpy()
    except (OSError, SafetensorError):
        return None
    return features if features.dtype == np.float16 and len(features) == count else None


def _tell(progress: Progress, before: int, total: int, count: int) -> None:
    progress(before + count, total)


def _build(phrases: Sequence[str], tower: TextTower, folder: Path, tell: Callable[[int], None]) -> Shard:
    done = 0

    def on_batch(count: int) -> None:
        nonlocal done
        done += count
        tell(done)

    features = torch.nn.functional.normalize(tower.encode(phrases, on_batch), dim=-1).half()
    path = folder / _name(phrases)
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.partial")
    try:
        save_file({KEY: features}, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    mapped = read_shard(path, len(phrases))
    return features.numpy() if mapped is None else mapped


def _cut(phrases: Sequence[str]) -> list[Sequence[str]]:
    return [phrases[begin : begin + SHARD_PHRASES] for begin in range(0, len(phrases), SHARD_PHRASES)]


def _name(phrases: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(phrases).encode()).hexdigest()[:32] + ".safetensors"
