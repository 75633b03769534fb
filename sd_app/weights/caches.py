"""What need not be computed twice: prompts as a text encoder reads them, pictures as a VAE encodes them.

Results are kept beside the network that made them and are gone with it. They are shared, so whoever gets one
must not write into it.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast
from weakref import WeakKeyDictionary

import torch
from PIL import Image
from torch import Tensor, nn

ResultT = TypeVar("ResultT", Tensor, Image.Image)

MAX_ENTRIES = 256  # results of one network
MAX_BYTES = 64 * 2**20  # of these results: some 250 windows of 77 rows, or 60 pictures of 512x512


class Cache:
    """The results used last, at most so many of them and so many bytes."""

    def __init__(self, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.size_bytes = 0
        self._results: OrderedDict[Hashable, Tensor | Image.Image] = OrderedDict()

    def __len__(self) -> int:
        return len(self._results)

    def get(self, key: Hashable, make: Callable[[], ResultT]) -> ResultT:
        """Return what is kept under a key, a tensor or a picture; make it if it is not there.

        What alone is larger than the whole cache is not kept.
        """
        if key in self._results:
            self._results.move_to_end(key)
            return cast("ResultT", self._results[key])
        result = make()
        if bytes_of(result) <= self.max_bytes:
            self._results[key] = result
            self.size_bytes += bytes_of(result)
        while len(self) > self.max_entries or self.size_bytes > self.max_bytes:
            _, oldest = self._results.popitem(last=False)
            self.size_bytes -= bytes_of(oldest)
        return result


_caches: WeakKeyDictionary[nn.Module, Cache] = WeakKeyDictionary()


def recall(network: nn.Module, key: Hashable, make: Callable[[], ResultT]) -> ResultT:
    """Return a network's result for a key that names all it depends on besides the weights as loaded."""
    return _caches.setdefault(network, Cache()).get(key, make)


def forget(*networks: nn.Module) -> None:
    """Drop what is kept of these networks."""
    for network in networks:
        _caches.pop(network, None)


def cached_bytes(network: nn.Module) -> int:
    """Return the bytes that are kept of a network's results."""
    return _caches[network].size_bytes if network in _caches else 0


def fingerprint(tensor: Tensor) -> tuple[Hashable, ...]:
    """Return what tells a tensor from every other one: shape, dtype and a hash of its numbers."""
    numbers = tensor.detach().cpu().contiguous()
    digest = hashlib.blake2b(numbers.flatten().view(torch.uint8).numpy().data, digest_size=16).digest()
    return (*tensor.shape, str(tensor.dtype), digest)


def bytes_of(result: Tensor | Image.Image) -> int:
    """Return what a tensor or a picture takes."""
    if isinstance(result, Image.Image):
        return result.width * result.height * len(result.getbands())
    return result.numel() * result.element_size()
