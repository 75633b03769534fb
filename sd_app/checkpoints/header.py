"""The header of a .safetensors file: eight bytes of length, then JSON with a name and a shape per tensor.

The format is described at github.com/huggingface/safetensors.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

MAX_HEADER = 100_000_000  # bytes; the format's own limit
PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
FLOATS = ("F16", "BF16", "F32", "F64", "F8_E4M3", "F8_E5M2")


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says of its tensors, by name, and about itself."""

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]  # the format's names: F16, BF16, F32, ...
    metadata: dict[str, str]

    @cached_property
    def _lines(self) -> str:
        return "\n" + "\n".join(self.shapes)  # searched as one text: a loop over the names is slow

    def has(self, *prefixes: str) -> bool:
        """Tell whether a tensor's name begins with one of the prefixes."""
        return any("\n" + prefix in self._lines for prefix in prefixes)

    def holds(self, *parts: str) -> bool:
        """Tell whether one of the parts occurs in a tensor's name."""
        return any(part in self._lines for part in parts)

    def size_bytes(self, *prefixes: str) -> int:
        """Return what the tensors whose names begin so take in the file."""
        names = [name for name in self.shapes if name.startswith(prefixes)]
        return sum(prod(self.shapes[name]) * BITS.get(self.dtypes[name], 8) // 8 for name in names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape. Raise ValueError if it is not there."""
        try:
            return self.shapes[name]
        except KeyError:
            raise ValueError(f"it lacks the tensor {name}") from None

    def side(self, name: str, index: int) -> int:
        """Return one side of a tensor, counted from 0. Raise ValueError if there is none."""
        shape = self.shape(name)
        if index >= len(shape):
            raise ValueError(f"its tensor {name} has the shape {shape}, which no known model has")
        return shape[index]

    def count(self, pattern: str) -> int:
        """Return how many of the names pattern.format(0), pattern.format(1), ... begin a tensor's name."""
        number = 0
        while self.has(pattern.format(number)):
            number += 1
        return number


def read_raw_header(path: Path) -> bytes:
    """Return a header's JSON. Raise ValueError for what is no safetensors file, OSError if unreadable."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if start.startswith(PICKLE_STARTS):
            raise ValueError("it is a pickle under another name, and reading one can run code")
        if len(start) < 8:
            raise ValueError("it is empty" if size == 0 else f"it is cut off: it has only {size} bytes")
        if length > MAX_HEADER:
            raise ValueError("it is no safetensors file, or its beginning is damaged")
        raw = file.read(length)
    if len(raw) < length:
        raise ValueError(f"it is cut off, or no safetensors file: its header needs {length:,} bytes")
    return raw


def read_header(path: Path) -> Header:
    """Read a file's header and check that all of its tensors are there. Raises as read_raw_header does."""
    raw = read_raw_header(path)
    data_bytes = path.stat().st_size - 8 - len(raw)
    try:
        entries = json.loads(raw, parse_float=str)  # the format has whole numbers alone, and 2.0 equals 2
        if not isinstance(entries, dict):
            raise TypeError("it is no JSON object")
        metadata = entries.pop("__metadata__", None) or {}
        if not isinstance(metadata, dict):
            raise TypeError("its metadata must be an object")
        header = Header(
            shapes={name: tuple(entry["shape"]) for name, entry in entries.items()},
            dtypes={name: entry["dtype"] for name, entry in entries.items()},
            metadata={str(key): str(value) for key, value in metadata.items()},
        )
        end = _end(header, entries)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"its header is damaged: {error}") from error
    if end > data_bytes:
        raise ValueError(f"it is cut off: {end - data_bytes:,} of {end:,} bytes are missing")
    return header


def _end(header: Header, entries: dict[str, Any]) -> int:
    """Return where the last tensor ends; raise ValueError if one's bytes are not what its shape needs."""
    last = 0
    counts: dict[tuple[int, ...], int] = {}  # numbers in a tensor: thousands of tensors share few shapes
    for name, shape in header.shapes.items():
        begin, end = entries[name]["data_offsets"]
        bits = BITS.get(header.dtypes[name])
        if bits is not None:  # newer formats pack several numbers into a byte
            count = counts.get(shape)
            if count is None:
                count = counts[shape] = _count(name, shape)
            if begin < 0 or end - begin != count * bits // 8:
                raise ValueError(f"{name} has {end - begin} bytes where its shape needs {count * bits // 8}")
        last = max(last, end)
    return int(last)


def _count(name: str, shape: tuple[Any, ...]) -> int:
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError(f"{name} has the shape {shape}")
    return prod(shape)
