"""What a job uses beside its checkpoint's own parts; applied by the model manager."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path

from diffusers import AutoencoderKL
from torch import Tensor, nn

from ..addons import Additions, VaeUse, stamp_files
from ..failures import is_out_of_memory
from .components import Components
from .device_memory import OUT_OF_MEMORY
from .lora_merging import MergedLoras
from .offloading import remove_hooks
from .pipeline import Pipeline
from .preview_decoders import load_decoder
from .vae_loading import load_vae

log = logging.getLogger(__name__)

MAX_VAES = 2  # kept loaded beside a checkpoint's own

Tell = Callable[[str], None]


class AppliedAddons:
    """What jobs added to one checkpoint; it goes with the checkpoint.

    LoRAs stay in its weights while the next job asks for the same; another VAE is lent for one job.
    """

    def __init__(self, components: Components) -> None:
        self.loras = MergedLoras(components)
        self._own_vae = components.get("vae")
        self._decoder: tuple[Hashable, nn.Module | None] | None = None  # file and network
        self._vaes: OrderedDict[VaeUse, AutoencoderKL] = OrderedDict()  # the latest used is the last

    @contextmanager
    def applied(self, pipe: Pipeline, additions: Additions, tell: Tell) -> Iterator[None]:
        """Have a pipeline use exactly these additions. Raise ValueError naming one that does not fit.

        `pipe.merged` changes whenever the weights of U-Net or text encoders do.
        """
        vae = self._vae(pipe, additions.vae, tell)
        if additions.loras not in ((), self.loras.state):
            tell(f"Merging {', '.join(use.name for use in additions.loras)}")
        self.loras.exchange(additions.loras)
        pipe.merged, pipe.words = self.loras.state, additions.words
        pipe.remarks = self.loras.remarks
        pipe.preview_decoder = self._preview_decoder(pipe, additions.preview_decoder)
        if vae is not None:
            pipe.vae = vae
        try:
            yield
        finally:
            if vae is not None:
                remove_hooks([vae])  # where parts visit the device one by one

    @property
    def networks(self) -> list[nn.Module]:
        """Return what is kept loaded beside the checkpoint's own parts."""
        decoder = self._decoder[1] if self._decoder else None
        return [*self._vaes.values(), *([decoder] if decoder is not None else [])]

    @property
    def held(self) -> list[nn.Module | Tensor]:
        """Return all that is kept beside the checkpoint's own parts, in the memory where those are."""
        return [*self.networks, *self.loras.originals_beside]

    def trim(self, pipe: Pipeline) -> None:
        """Drop the VAEs and the decoder that a pipeline does not use; it may be between two jobs."""
        self._vaes = OrderedDict((use, vae) for use, vae in self._vaes.items() if vae is pipe.vae)
        if self._decoder and self._decoder[1] is not pipe.preview_decoder:
            self._decoder = None

    def _preview_decoder(self, pipe: Pipeline, path: Path | None) -> nn.Module | None:
        """Return the decoder for previews, None if there is none; a bad one costs no picture."""
        if path is None:
            return None
        key = path, stamp_files(path)
        try:
            if self._decoder is None or self._decoder[0] != key:
                self._decoder = key, _load_decoder(path)
            decoder = self._decoder[1]
            return decoder and decoder.to(pipe.device, pipe.unet.dtype)
        except OUT_OF_MEMORY as error:
            if not is_out_of_memory(error):
                raise
            log.warning("%s is not used for previews: it does not fit into the memory", path.name)
            self._decoder = None  # the next job tries again
            return None

    def _vae(self, pipe: Pipeline, use: VaeUse | None, tell: Tell) -> AutoencoderKL | None:
        """Return another VAE on the device the pipeline runs on, None for the checkpoint's own."""
        if use is None:
            return None
        if use not in self._vaes:
            tell(f"Loading {use.name}")
            try:
                self._vaes[use] = load_vae(use.path, self._own_vae)
            except ValueError as error:
                raise ValueError(
                    f"vae must be one that fits the model, and {use.name} does not: {error}"
                ) from error
            while len(self._vaes) > MAX_VAES:
                self._vaes.popitem(last=False)
        self._vaes.move_to_end(use)
        # Where parts visit the device one by one it comes when it is called.
        return self._vaes[use] if pipe.offloads else self._vaes[use].to(pipe.device)


def _load_decoder(path: Path) -> nn.Module | None:
    """Load a decoder for previews; None for one that cannot be read, which the log says."""
    try:
        return load_decoder(path)
    except ValueError as error:
        log.warning("%s is not used for previews: %s", path.name, error)
        return None
