"""The facade: one short method per feature. Importing it is cheap; torch loads with the first job."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .catalog import ModelInfo, find_model, list_models
from .requests import (
    Img2ImgRequest,
    Img2ImgResult,
    InpaintRequest,
    InpaintResult,
    InterrogateRequest,
    InterrogateResult,
    MatchRequest,
    MatchResult,
    Score,
    Status,
    Step,
    TokenReport,
    Txt2ImgRequest,
    Txt2ImgResult,
)
from .schedulers import SCHEDULER_NAMES
from .settings import Settings

if TYPE_CHECKING:
    from PIL import Image

    from .model_manager import ModelManager


class Studio:
    """Make pictures and show how they come about. Safe to use from several threads at once."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._manager: ModelManager | None = None
        self._import_lock = threading.Lock()

    def models(self) -> list[ModelInfo]:
        """List the models that can be asked for; the default one comes first. Reads the disk each time."""
        return list_models(self.settings)

    def schedulers(self) -> tuple[str, ...]:
        """List the schedulers by the names a request takes."""
        return SCHEDULER_NAMES

    def txt2img(
        self,
        request: Txt2ImgRequest,
        on_step: Callable[[Step], None] | None = None,
        *,
        preview_every: int = 3,
        save: bool = True,
    ) -> Txt2ImgResult:
        """Make the pictures of a request and save them in outputs_dir (unless save is False).

        on_step is called after every step, and when loading or decoding begins; raising Cancelled in it
        stops the job, and the result holds the pictures finished before. Every `preview_every` steps the
        Step has a preview; 0 turns previews off. Neither changes a pixel of the result.
        Raise ValueError for an unknown model or scheduler or a size over the limits, MemoryError when the
        job does not fit, OSError when a model cannot be read or a picture cannot be saved.
        """
        manager = self._ready_manager()
        from . import generation

        return generation.txt2img(manager, request, on_step, preview_every=preview_every, save=save)

    def img2img(
        self,
        request: Img2ImgRequest,
        on_step: Callable[[Step], None] | None = None,
        *,
        preview_every: int = 3,
        save: bool = True,
    ) -> Img2ImgResult:
        """Make pictures from a picture; for everything else as txt2img.

        Only strength's share of the steps is run, request.steps_run. The same seed has the same noise at any
        strength; at strength 1 the picture is txt2img's. Raise ValueError also for a file that is no picture.
        """
        manager = self._ready_manager()
        from . import generation

        return generation.img2img(manager, request, on_step, preview_every=preview_every, save=save)

    def inpaint(
        self,
        request: InpaintRequest,
        on_step: Callable[[Step], None] | None = None,
        *,
        preview_every: int = 3,
        save: bool = True,
    ) -> InpaintResult:
        """Repaint the white part of a mask; for everything else as img2img.

        The kept pixels of the result are the input's, byte for byte; the result also holds the raw picture,
        the VAE's round trip and a report of what they changed. An empty mask gives the input and a notice.
        """
        manager = self._ready_manager()
        from . import generation

        return generation.inpaint(manager, request, on_step, preview_every=preview_every, save=save)

    def tokens(self, prompt: str, model: str | None = None) -> TokenReport:
        """Cut a prompt into the model's tokens. Loads no weights and does not wait for a running job."""
        info = find_model(self.settings, model)
        manager = self._ready_manager()
        from . import prompts

        return prompts.tokenize(manager.tokenizer(info.name), prompt)

    def interrogate(
        self, request: InterrogateRequest, on_step: Callable[[Step], None] | None = None
    ) -> InterrogateResult:
        """Find the words that raise a picture's CLIP similarity, or lower it in negative mode.

        on_step gets an InterrogateStep with the best prompt so far; raising Cancelled in it ends the search
        at any time, and the result holds that prompt. The first job with a list and a CLIP builds its table
        in cache_dir. Raise ValueError for unknown names, a list that cannot be used or a caption of more than
        the CLIP's context, OSError when weights or files cannot be read, MemoryError when they do not fit.
        """
        manager = self._ready_manager()
        from .interrogator import interrogation

        return interrogation.interrogate(manager, request, on_step)

    def score_phrases(self, result: InterrogateResult, keep: Sequence[int]) -> Score:
        """Score a result's prompt with only the phrases of these indices; the picture is not read again."""
        manager = self._ready_manager()
        from .interrogator import interrogation

        return interrogation.score_phrases(manager, result, keep)

    def match(self, request: MatchRequest) -> MatchResult:
        """Compare pictures with texts: cosines, and softmax both ways."""
        manager = self._ready_manager()
        from .interrogator import matching

        return matching.match(manager, request)

    def compare_pictures(
        self, image: "Image.Image", others: "Sequence[Image.Image]", clip_model: str | None = None
    ) -> tuple[float, ...]:
        """Return the CLIP cosine of one RGB picture with each of the others."""
        manager = self._ready_manager()
        from .interrogator import matching

        return matching.compare_pictures(manager, image, others, clip_model)

    def clip_models(self) -> tuple[str, ...]:
        """List the CLIPs to choose from, the default one first."""
        from .interrogator.models import list_clips

        return list_clips(self.settings)

    def caption_models(self) -> tuple[str, ...]:
        """List the caption models to choose from, the embedded one first."""
        from .interrogator.models import list_captioners

        return list_captioners(self.settings)

    def phrase_groups(self, clip_model: str | None = None) -> dict[str, bool]:
        """List the phrase lists a CLIP can search, and whether each is searched by default."""
        from .interrogator.models import find_clip
        from .interrogator.phrases import default_names, list_groups

        folder = find_clip(self.settings, clip_model).folder
        chosen = default_names(self.settings, folder)
        return {name: name in chosen for name in list_groups(self.settings, folder)}

    def status(self) -> Status:
        """Tell device, memory and loaded models. Cheap: never waits and never imports torch itself."""
        return self._manager.status() if self._manager else Status(device="starting")

    def warm_up(self) -> None:
        """Import torch and diffusers and load the default model, so that the first job starts at once."""
        self._ready_manager().warm_up()

    def unload(self) -> None:
        """Drop all weights from memory, after the running job."""
        if self._manager:
            self._manager.unload()

    def _ready_manager(self) -> "ModelManager":
        """Return the one model manager; the first caller imports torch and diffusers, the others wait."""
        with self._import_lock:
            if self._manager is None:
                from . import generation  # noqa: F401 - everything a job needs, imported by one thread
                from .model_manager import ModelManager

                self._manager = ModelManager(self.settings)
            return self._manager
