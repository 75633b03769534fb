"""A model on its way from the hub: what would be fetched, and how far it is. Plain data."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

SPARE = 100_000_000  # bytes of the disk that a download leaves free


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """One file of a repository on the hub."""

    path: str  # inside the repository
    size_bytes: int
    blob: str  # its name in the cache: a SHA-256, or for small files git's SHA-1
    missing_bytes: int  # what is still to be fetched; 0 for a file that is there

    @property
    def is_weights(self) -> bool:
        return self.path.endswith(".safetensors")

    def start_hash(self) -> "hashlib._Hash":
        """Return the hash of nothing yet; when it has read the whole file, its hexdigest must be the blob."""
        if len(self.blob) == 64:
            return hashlib.sha256()
        # Git's name of a small file, no secret.
        return hashlib.sha1(b"blob %d\0" % self.size_bytes, usedforsecurity=False)


@dataclass(frozen=True, kw_only=True)
class DownloadPlan:
    """What adding a hub model would fetch, found out before anything is written."""

    hub_id: str
    revision: str  # the commit of its main branch
    pipeline: str  # the class that model_index.json names
    family: str  # "sd1", "sd2" or "sdxl"
    native_size: int  # pixels of a side
    only_inpaints: bool
    files: tuple[HubFile, ...]
    license: str  # as the repository states it, "" if it states none
    gated: bool  # its owner asks for terms to be accepted
    folder: Path  # where it will lie
    free_bytes: int  # on that disk

    @property
    def total_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def missing_bytes(self) -> int:
        """Return what is still to be fetched; the parts of an earlier attempt count as there."""
        return sum(file.missing_bytes for file in self.files)

    @property
    def fits(self) -> bool:
        """Tell whether the disk can take it."""
        return not self.missing_bytes or self.missing_bytes + SPARE <= self.free_bytes


@dataclass(frozen=True, kw_only=True)
class DownloadProgress:
    """How far a download is."""

    hub_id: str
    done_bytes: int  # with what was there before
    total_bytes: int
    seconds: float  # since it began
    bytes_per_second: float | None = None  # of the last seconds; None before the first bytes

    @property
    def fraction(self) -> float:
        """Return how much is there, 0..1."""
        return min(1.0, self.done_bytes / self.total_bytes) if self.total_bytes else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """Return the expected time to the end, None while the speed is unknown."""
        if not self.bytes_per_second:
            return None
        return max(0, self.total_bytes - self.done_bytes) / self.bytes_per_second

    @property
    def amount(self) -> str:
        """Return "1.2 GB of 4.3 GB", and the speed once it is known."""
        text = f"{format_bytes(self.done_bytes)} of {format_bytes(self.total_bytes)}"
        return text if self.bytes_per_second is None else f"{text}, {format_bytes(self.bytes_per_second)}/s"


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """A hub model that lies in the cache, whole and usable."""

    hub_id: str
    folder: Path  # delete it, and the model is gone
    size_bytes: int  # of the model's weights; the folder may hold more


def format_bytes(count: float) -> str:
    """Return 812 kB, 45 MB, 4.27 GB: powers of 1000, as disks and the hub count."""
    for unit, digits in (("B", 0), ("kB", 0), ("MB", 0)):
        if count < 999.5:
            return f"{count:.{digits}f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"
