"""Read tensors of .safetensors files, as they were found, into networks without weights."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints import Header, Source, Sources, mark_broken, read_header

DTYPES = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    # An add-on's alpha and flags may be whole.
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}


class TensorFile:
    """A file mapped into memory: bytes are read when they are copied.

    Unlike the format's library it takes a file that has bytes after its last tensor.
    """

    def __init__(self, path: Path) -> None:
        """Raise ValueError for what is no such file, OSError if it cannot be read."""
        self.header: Header = read_header(path)
        size = path.stat().st_size
        self._bytes = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)

    def read(self, name: str) -> Tensor:
        """Return a tensor; it shares the file's memory. Raise ValueError if it is not there."""
        shape, dtype = self.header.shape(name), DTYPES[self.header.dtypes[name]]
        begin, end = (self.header.begin + offset for offset in self.header.offsets[name])
        raw = self._bytes[begin:end]
        if begin % dtype.itemsize:  # a header whose length was not rounded up
            raw = raw.clone()
        return raw.view(dtype).reshape(shape)


class Reader:
    """Reads what sources describe; each file is opened once."""

    def __init__(self) -> None:
        self._files: dict[Path, TensorFile] = {}

    def read(self, source: Source, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a copy of a network's tensor in its own shape and a number format."""
        file = self._files.get(source.file) or self._files.setdefault(source.file, TensorFile(source.file))
        tensor = file.read(source.name)
        if source.scale:
            tensor = tensor.float() * _spread(file.read(source.scale).float(), tensor)
        if source.third is not None:
            tensor = tensor.chunk(3)[source.third]
        if source.transposed:
            tensor = tensor.T
        return tensor.to(dtype, copy=True).reshape(shape).contiguous()


def _spread(scale: Tensor, tensor: Tensor) -> Tensor:
    """Shape a scale so that it multiplies a tensor: one for all, or one for each row."""
    return scale.reshape(()) if scale.numel() == 1 else scale.reshape(-1, *(1,) * (tensor.ndim - 1))


def fill_module(
    model: nn.Module, sources: Sources, part: str, dtype: torch.dtype, reader: Reader | None = None
) -> nn.Module:
    """Give an empty model copies of its weights, and check them. Raise ValueError if a number is none."""
    reader = reader or Reader()
    wanted: Mapping[str, Tensor] = model.state_dict()
    copies = {}
    for name, empty in wanted.items():
        source = sources[name.removeprefix("text_model.")]
        tensor = copies[name] = reader.read(source, tuple(empty.shape), dtype)
        least, most = torch.aminmax(tensor)  # both are NaN if one number is
        if not (isfinite(least) and isfinite(most)):
            reason = f"its {part} holds values that are not numbers (NaN or infinite), for example in {name}"
            mark_broken(source.file, reason)
            raise ValueError(reason)
    model.load_state_dict(copies, assign=True)
    return model.eval()
