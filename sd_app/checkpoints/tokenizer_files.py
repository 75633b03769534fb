"""The tokenizer in a diffusers folder. Nearly all models have the same one, so what is read of it is kept."""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from ..user_files import JsonObject, read_object

# What holds a tokenizer; what else lies in its folder is known by size and time.
NAMES = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
KEPT = 4  # tokenizers: SDXL has two


@dataclass(frozen=True, kw_only=True)
class TokenizerFiles:
    """A folder with a tokenizer; equal to any whose files are the same to the byte."""

    contents: tuple[tuple[str, bytes], ...]  # names and digests
    folder: Path = field(compare=False)


def tokenizer_files(folder: Path) -> TokenizerFiles:
    """Look at a tokenizer's folder, which may be missing. Raise OSError if it cannot be read."""
    contents: list[tuple[str, bytes]] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file():
            facts = path.stat()
            known = (
                path.read_bytes() if path.name in NAMES else f"{facts.st_size} {facts.st_mtime_ns}".encode()
            )
            contents.append((path.name, sha256(known).digest()))
    return TokenizerFiles(contents=tuple(contents), folder=folder)


def fits_table(files: TokenizerFiles, table: int) -> bool:
    """Tell whether a tokenizer can be read and has no token beyond a text encoder's table of so many rows."""
    largest = _largest_token(files)
    return largest is not None and largest < table


@lru_cache(maxsize=KEPT)
def _largest_token(files: TokenizerFiles) -> int | None:
    """Return a tokenizer's largest id; None without a vocabulary and merges, or with ids that are none."""
    merges = files.folder / "merges.txt"
    whole = read_object(files.folder / "tokenizer.json")
    vocabulary: object = read_object(files.folder / "vocab.json")
    if not vocabulary or not merges.is_file() or merges.stat().st_size == 0:
        model = whole.get("model")
        vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict) or not vocabulary:
        return None
    more: JsonObject = read_object(files.folder / "added_tokens.json")
    added = whole.get("added_tokens")
    ids = [*vocabulary.values(), *more.values()]
    ids += [one.get("id") for one in added if isinstance(one, dict)] if isinstance(added, list) else []
    return max(ids) if all(type(one) is int and one >= 0 for one in ids) else None
