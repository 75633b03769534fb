"""What a panel works with: a recording, and the model it was made by, lent when something must be run.

Of a picture that could not be recorded there is the picture alone, and the text in its file.
"""

import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..addons import choose_additions
from ..catalog import find_model
from ..generation.run import RunOptions
from ..generation.vae import decode_latents
from ..images import open_image
from ..metadata import read_infotext
from ..probes.recording import Recording
from ..requests import Step, Txt2ImgRequest, Txt2ImgResult
from ..weights.caches import fingerprint
from ..weights.model_manager import ModelManager
from ..weights.pipeline import Pipeline
from .record import make

DECODED_TOGETHER = 2**20  # pixels: 64 pictures of 128x128, 4 of 512x512
MOST_PIXELS = 2**25  # of the decoded pictures that are kept: 2,000 of 128x128, 128 of 512x512


class Look:
    """One recording being looked at. Whoever holds it keeps what was decoded for it."""

    def __init__(
        self,
        manager: ModelManager,
        recording: Recording,
        *,
        on_step: Callable[[Step], None] | None = None,
    ) -> None:
        self.manager = manager
        self.recording = recording
        self.on_step = on_step  # hears of pictures being made; may raise Cancelled
        # Other recordings that whoever looks may open, to compare with: which there are, and one by its name.
        self.list_others: Callable[[], Sequence[Mapping[str, object]]] | None = None
        self.open_other: Callable[[str], Recording] | None = None
        self._here = threading.local()  # the pipeline that this thread is lent
        self._decoded: dict[Hashable, Image.Image] = {}

    @property
    def request(self) -> Txt2ImgRequest:
        """Return the recording's request."""
        return self.recording.request

    @contextmanager
    def pipe(self) -> Iterator[Pipeline]:
        """Lend the model's parts with the request's LoRAs, learned words and VAE on.

        Waits for the running job; within it, it is lent again at once, but `rerun` is for outside. Raise
        ValueError in words if the model is not here any more.
        """
        if (lent := getattr(self._here, "pipe", None)) is not None:
            yield lent
            return
        settings = self.manager.settings
        info = find_model(settings, self.request.model)
        additions = choose_additions(settings, info, self.request.prompt, self.request.vae)
        with self.manager.pipeline(info.name, self.request.sampling, additions=additions) as pipe:
            self._here.pipe = pipe
            try:
                yield pipe
            finally:
                self._here.pipe = None

    def decode(self, latents: Tensor) -> list[Image.Image]:
        """Return (B, 4, h, w) latents, as the U-Net sees them, as pictures; those met before are kept."""
        keys = [fingerprint(one) for one in latents]
        missing = {key: one for key, one in zip(keys, latents, strict=True) if key not in self._decoded}
        if missing:
            with self.pipe() as pipe:
                made = decode_in_parts(pipe, torch.stack(list(missing.values())))
            self._decoded |= dict(zip(missing, made, strict=True))
        images = [self._decoded[key].copy() for key in keys]
        most = MOST_PIXELS // (images[0].width * images[0].height) if images else 0
        while len(self._decoded) > most:
            del self._decoded[next(iter(self._decoded))]
        return images

    def rerun(self, request: Txt2ImgRequest, observers: Sequence[object] = ()) -> Txt2ImgResult:
        """Make the pictures of another request, not saved. Raise as the studio's own methods do."""
        return make(self.manager, request, RunOptions(self.on_step, 0, save=False, observers=observers))


@dataclass(kw_only=True)
class PictureAlone:
    """A picture that could not be recorded, and why: some panels need no recording."""

    manager: ModelManager
    image: Image.Image
    reason: str
    parameters: str | None = None  # the text in its file, of any program; None if it holds none
    on_step: Callable[[Step], None] | None = None
    list_others: Callable[[], Sequence[Mapping[str, object]]] | None = None
    open_other: Callable[[str], Recording] | None = None


Looked = Look | PictureAlone


def look_at_picture(
    manager: ModelManager, picture: Image.Image | str | Path, reason: str, *, image: Image.Image | None = None
) -> PictureAlone:
    """Return a picture that could not be recorded with the text in its file, if that can be read.

    `image` is the picture where its file was opened before. Raise ValueError for a file that is no picture.
    """
    if image is None:
        image = picture if isinstance(picture, Image.Image) else open_image(picture)
    try:
        parameters = read_infotext(picture)
    except ValueError:  # too long a text, or a form of picture that holds none; `reason` says what matters
        parameters = None
    return PictureAlone(manager=manager, image=image, reason=reason, parameters=parameters)


def decode_in_parts(pipe: Pipeline, latents: Tensor) -> list[Image.Image]:
    """Decode (B, 4, h, w) latents, as many together as there is room for."""
    side = pipe.vae_scale_factor
    pixels = latents.shape[-2] * latents.shape[-1] * side * side
    together = max(1, DECODED_TOGETHER // pixels)
    images: list[Image.Image] = []
    for part in latents.split(together):
        images += decode_latents(pipe, part.to(pipe.device, pipe.unet.dtype))
    return images
