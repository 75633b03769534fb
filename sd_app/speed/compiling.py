"""torch.compile for a U-Net: compiled once for each shape, kept on disk for the next start."""

import logging
import os
import platform
import re
from collections.abc import Callable, Hashable
from pathlib import Path

import torch
from torch import Tensor

from ..failures import is_out_of_memory
from ..metadata import write_bytes
from .calls import Tensors, unflatten
from .graphs import signature
from .reuse import Forward

Tell = Callable[[str], None]

COMPILING = "Compiling, once"
NOT_COMPILED = "Going on without torch.compile, which did not work here"

log = logging.getLogger(__name__)


class Compiler:
    """Compile one U-Net's forward, or go on without where that cannot be done.

    The code that is made goes to `folder`, one file for each version of torch, device and family of models.
    """

    def __init__(self, folder: Path, *, device: torch.device, family: str) -> None:
        self._folder = folder
        self._path = folder / artifact_name(device_name(device), family)
        self._compiled: Forward | None = None
        self._shapes: set[Hashable] = set()
        self._is_new = False
        self.error: str | None = None  # why nothing is compiled

    def run(self, forward: Forward, tensors: Tensors, tell: Tell) -> Tensor:
        """Return the output of forward, compiled. Tell when a shape comes for the first time."""
        if self.error is not None:
            return forward(**unflatten(tensors))[0]
        if self._compiled is None:
            self._load()
            self._compiled = torch.compile(forward, dynamic=False)
        shape = signature(tensors)
        if shape in self._shapes:
            return self._compiled(**unflatten(tensors))[0]
        tell(COMPILING)
        try:
            output = self._compiled(**unflatten(tensors))[0]
        except RuntimeError as error:  # what torch._dynamo and the compilers below it raise
            if is_out_of_memory(error):
                raise
            self.error = str(error).strip().split("\n")[0]
            log.warning("%s: %s", NOT_COMPILED, self.error)
            tell(f"{NOT_COMPILED}: {self.error}")
            return forward(**unflatten(tensors))[0]
        self._shapes.add(shape)
        self._is_new = True
        return output

    def save(self) -> None:
        """Write what was compiled since the last time to the folder; a full disk is no reason to stop."""
        if not self._is_new:
            return
        self._is_new = False
        artifacts = torch.compiler.save_cache_artifacts()
        if artifacts is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_bytes(artifacts[0], self._path)
        except OSError as error:
            log.warning("The compiled U-Net was not kept: %s", error)

    def drop(self) -> None:
        """Forget the compiled code. torch knows only all of it, so other checkpoints read theirs again."""
        if self._compiled is not None:
            self._compiled = None
            self._shapes.clear()
            torch.compiler.reset()

    def _load(self) -> None:
        # Else in /tmp. A CPU's machine code is kept only there, a GPU's in the artifacts too.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(self._folder / "inductor"))
        if self._path.is_file():
            torch.compiler.load_cache_artifacts(self._path.read_bytes())


def artifact_name(device: str, family: str) -> str:
    """Return the name of the file for compiled code, which fits only where it was made."""
    return re.sub(r"[^\w.+-]+", "-", f"{torch.__version__}-{device}-{family}") + ".bin"


def device_name(device: torch.device) -> str:
    """Return what the code for a device is made for."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}-{platform.machine()}-{torch.backends.cpu.get_cpu_capability()}"
