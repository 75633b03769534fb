"""The header of a .safetensors file: eight bytes of length, then JSON with a name and a shape per tensor.

The format is described at github.com/huggingface/safetensors.
"""

import json
import stat
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TypeGuard

from ..user_files import JsonObject, readable

FORMAT_LIMIT = 100_000_000  # bytes of a header
MAX_HEADER = 20_000_000  # bytes; SDXL's has 0.3 million, and what takes more is slow to read
MAX_TENSORS = 100_000  # SDXL has 2,500
MAX_DIMS = 64
MAX_INT = 2**63
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
    offsets: dict[str, tuple[int, int]]  # from where to where its bytes are, counted from `begin`
    begin: int  # where the tensors' bytes begin in the file

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

    def check_floats(self, *names: str) -> None:
        """Raise ValueError unless these tensors hold floats that can be read."""
        if odd := sorted({self.dtypes[name] for name in names} - set(FLOATS)):
            raise ValueError(
                f"its numbers are {shown(', '.join(odd))[:80]}, and only {', '.join(FLOATS)} can be read"
            )

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
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would be to wait for its writer
        raise ValueError("it is not a plain file")
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if start.startswith(PICKLE_STARTS) and length > MAX_HEADER:  # b"\x80\x02" may be a length, too: 640
            raise ValueError("it is a pickle under another name, and reading one can run code")
        if len(start) < 8:
            raise ValueError("it is empty" if size == 0 else f"it is cut off: it has only {size} bytes")
        if length > FORMAT_LIMIT:
            raise ValueError("it is not a safetensors file, or its beginning is damaged")
        if length > MAX_HEADER:
            raise ValueError(f"its header has {length:,} bytes, and at most {MAX_HEADER:,} are read")
        raw = file.read(length)
    if len(raw) < length:
        raise ValueError(f"it is cut off, or no safetensors file: its header needs {length:,} bytes")
    return raw


def read_header(path: Path) -> Header:
    """Read a file's header and check that all of its tensors are there. Raises as read_raw_header does."""
    raw = read_raw_header(path)
    if raw.count(b"{") > MAX_TENSORS:  # a tensor is an object; counted before any is built
        raise ValueError(f"its header names more than {MAX_TENSORS:,} tensors, which no known model has")
    data_bytes = path.stat().st_size - 8 - len(raw)
    try:
        header, end = _parse(raw)
    except ValueError as error:
        raise ValueError(f"its header is damaged: {error}") from error
    if end > data_bytes:
        raise ValueError(f"it is cut off: {end - data_bytes:,} of {end:,} bytes are missing")
    return header


def _parse(raw: bytes) -> tuple[Header, int]:
    """Return a header and where the last tensor's bytes end. Raise ValueError for what is none."""
    entries = _read_json(raw)
    if not isinstance(entries, dict):
        raise ValueError("it is not a JSON object")
    metadata = entries.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise ValueError("its metadata must be an object")
    header = Header(
        shapes={name: _shape(name, entry) for name, entry in entries.items()},
        dtypes={name: entry["dtype"] for name, entry in entries.items()},
        metadata={str(key): str(value) for key, value in metadata.items()},
        offsets={name: _offsets(name, entry) for name, entry in entries.items()},
        begin=8 + len(raw),
    )
    for text in (*header.shapes, *header.metadata, *header.metadata.values()):
        if readable(text) != text:
            raise ValueError(f"{shown(text)} in it is not a text that can be shown")
    for name in header.offsets:
        _check_length(name, header)
    _check_apart(header)
    return header, max((end for _, end in header.offsets.values()), default=0)


def _read_json(raw: bytes) -> object:
    """Read JSON in which no object has two values of one name. Raise ValueError in words."""

    def build(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            raise _TwiceError(f"{shown(twice)} stands in it twice")
        return found

    try:
        return json.loads(raw.decode("utf-8-sig"), object_pairs_hook=build)
    except _TwiceError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON in UTF-8, as every such file's is") from error


class _TwiceError(ValueError):
    """Two values of one name."""


def _shape(name: str, entry: object) -> tuple[int, ...]:
    """Return a tensor's shape; raise ValueError if that, or its type, is none."""
    shape, dtype = (entry.get("shape"), entry.get("dtype")) if isinstance(entry, dict) else (None, None)
    if not isinstance(dtype, str):
        raise ValueError(f"{shown(name)} has no type of numbers")
    if not _are_counts(shape) or len(shape) > MAX_DIMS:
        raise ValueError(f"{shown(name)} has a shape that is not a list of whole numbers from 0")
    return tuple(shape)


def _offsets(name: str, entry: JsonObject) -> tuple[int, int]:
    """Return from where to where a tensor's bytes are; raise ValueError if it does not say so."""
    offsets = entry.get("data_offsets")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise ValueError(f"{shown(name)} does not say from where to where its bytes are")
    return offsets[0], offsets[1]


def _check_length(name: str, header: Header) -> None:
    """Raise ValueError if a tensor's bytes are not as many as its shape needs."""
    begin, end = header.offsets[name]
    if (dtype := header.dtypes[name]) in BITS:  # newer formats pack several numbers into a byte
        needed = prod(header.shapes[name]) * BITS[dtype] // 8
        if end - begin != needed:
            raise ValueError(f"{shown(name)} has {end - begin} bytes, and its shape needs another number")


def _check_apart(header: Header) -> None:
    """Raise ValueError if two tensors share bytes: one of the two would hold the other's numbers."""
    before, end = "", 0
    for name, (begin, until) in sorted(header.offsets.items(), key=lambda item: item[1]):
        if begin < end and until > begin:
            raise ValueError(f"{shown(name)} lies over the bytes of {shown(before)}")
        if until > end:
            before, end = name, until


def _are_counts(value: object) -> TypeGuard[list[int]]:
    """Tell a list of whole numbers from 0; True is none, nor is 1.0."""
    return isinstance(value, list) and all(type(one) is int and 0 <= one < MAX_INT for one in value)


def shown(name: str) -> str:
    """Return a name of a stranger's file as one line can carry it."""
    return ascii(name[:200])[1:-1]
