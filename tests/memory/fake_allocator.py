"""A memory of so many bytes, told from torch's real operations: what asks for more gets torch's own error."""

from collections.abc import Callable
from typing import TypeVar, Unpack

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.hooks import RemovableHandle

ResultT = TypeVar("ResultT")


class FakeAllocator(TorchDispatchMode):
    """While entered, count the bytes of new storages that are still held.

    Above `limit_bytes` the operation that asked fails. `inside` narrows that down to one network's calls,
    `times` to the first so many failures. What is counted is what operations return: weights that were there
    before are free, and so are kernels' workspaces.
    """

    def __init__(
        self,
        limit_bytes: float = float("inf"),
        *,
        inside: torch.nn.Module | None = None,
        times: float = float("inf"),
        weights_of: tuple[torch.nn.Module, ...] = (),
    ) -> None:
        super().__init__()
        self.limit_bytes, self.times_left = limit_bytes, times
        self.peak_bytes = self.failures = 0  # the peak up to 1 %
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}
        self._at_most = 0  # what is held, and perhaps more: what is gone since the last count
        for network in weights_of:  # views of weights would else pass for new storages
            for tensor in (*network.parameters(), *network.buffers()):
                self._note(tensor, 0)
        self._inside, self._depth = inside, 0
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> "FakeAllocator":
        if self._inside is not None:
            self._hooks = [
                self._inside.register_forward_pre_hook(self._step(1)),
                self._inside.register_forward_hook(self._step(-1), always_call=True),
            ]
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()

    def __torch_dispatch__(
        self,
        func: Callable[..., ResultT],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> ResultT:
        result = func(*args, **(kwargs or {}))
        new = [self._note(leaf) for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self._at_most += sum(new)
        # Counting anew each time would take the square of the storages; so the peak is known to 1 %.
        if self._at_most <= min(1.01 * self.peak_bytes, self.limit_bytes):
            return result
        held = self.held_bytes()
        self.peak_bytes = max(self.peak_bytes, held)
        armed = self._inside is None or self._depth > 0
        if held > self.limit_bytes and armed and self.times_left > 0:
            self.times_left -= 1
            self.failures += 1
            del result  # the traceback would hold it
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to hold {held} of {self.limit_bytes} bytes"
            )
        return result

    def held_bytes(self) -> int:
        """Count the bytes of the storages that are still there."""
        self._held = {key: entry for key, entry in self._held.items() if not entry[0].expired()}
        self._at_most = sum(size for _, size in self._held.values())
        return self._at_most

    def _note(self, tensor: torch.Tensor, size: int | None = None) -> int:
        """Remember a tensor's storage; return how many bytes of it are new."""
        storage = tensor.untyped_storage()
        known = self._held.get(storage._cdata)
        if known and not known[0].expired():
            return 0
        size = storage.nbytes() if size is None else size
        self._held[storage._cdata] = StorageWeakRef(storage), size
        return size

    def _step(self, change: int) -> Callable[[Unpack[tuple[object, ...]]], None]:
        def hook(*_: object) -> None:
            self._depth += change

        return hook
