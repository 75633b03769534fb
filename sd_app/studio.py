"""The facade: one short method per feature. Importing it is cheap; torch loads with the first job."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .addons import Addon, AddonFacts, describe_addon, list_addons, list_vaes
from .catalog import ModelInfo, find_model, list_downloaded, list_models
from .checks import check_text
from .hub.hub_cache import repo_folder
from .hub.hub_models import HubModels
from .inside.looking import LooksInside
from .metadata import PictureInfo, read_picture_info
from .requests import (
    MAX_PROMPT,
    BlendRequest,
    BlendResult,
    Downloaded,
    Encoding,
    Img2ImgRequest,
    Img2ImgResult,
    InpaintRequest,
    InpaintResult,
    InterrogateRequest,
    InterrogateResult,
    KeptScore,
    MatchRequest,
    MatchResult,
    PlaneRequest,
    PlaneResult,
    RowReport,
    Status,
    Step,
    TokenReport,
    TokenTable,
    Txt2ImgRequest,
    Txt2ImgResult,
    WalkRequest,
    WalkResult,
)
from .schedulers import SCHEDULER_NAMES
from .settings import Settings
from .templates import Style, StyleFile, delete_style, read_styles, save_style

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from .generation import RunOptions
    from .probes.kept_recordings import RecentRecordings
    from .weights.model_manager import ModelManager

RunOf = tuple[int, int]  # steps run, and steps of the schedule


class Studio(HubModels, LooksInside):
    """Make pictures and show how they come about. Safe to use from several threads at once."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._manager: ModelManager | None = None
        self._recent: RecentRecordings | None = None
        self._import_lock = threading.Lock()

    def models(self) -> list[ModelInfo]:
        """List the models that can be asked for; the default one comes first. Reads the disk each time."""
        return list_models(self.settings)

    def schedulers(self) -> tuple[str, ...]:
        """List the schedulers by the names a request takes."""
        return SCHEDULER_NAMES

    def addons(self) -> list[Addon]:
        """List what a prompt can ask for: LoRAs and learned words. Reads names only, each time."""
        return list_addons(self.settings)

    def describe_addon(self, text: str) -> AddonFacts:
        """Describe what a prompt asks for by an Addon's text. Raise ValueError if it is not there."""
        return describe_addon(self.settings, text)

    def vaes(self) -> tuple[str, ...]:
        """List the VAEs that can stand in for a model's own, by the names a request takes."""
        return tuple(file.name for file in list_vaes(self.settings))

    def styles(self) -> StyleFile:
        """List the owner's styles, and what of their file cannot be read. Reads it each time."""
        return read_styles(self.settings.styles_file)

    def save_style(self, style: Style, old_name: str = "") -> None:
        """Write a style into the owner's file, in place of the one of its name or of `old_name`."""
        save_style(self.settings.styles_file, style, old_name=old_name)

    def delete_style(self, name: str) -> None:
        """Take a style out of the owner's file. Raise ValueError if there is none of this name."""
        delete_style(self.settings.styles_file, name)

    def picture_info(self, picture: "str | Path") -> PictureInfo:
        """Read all that a picture's file says, and what of it a request can take. ValueError: no picture."""
        models = [model.name for model in self.models()]
        return read_picture_info(picture, models=models, vaes=self.vaes())

    def txt2img(
        self,
        request: Txt2ImgRequest,
        on_step: Callable[[Step], None] | None = None,
        *,
        preview_every: int = 3,
        save: bool = True,
        observers: Sequence[object] = (),
    ) -> Txt2ImgResult:
        """Make the pictures of a request and save them in outputs_dir (unless save is False).

        on_step is called after every step, and when loading or decoding begins; raising Cancelled in it
        stops the job, and the result holds the pictures finished before. Every `preview_every` steps the
        Step has a preview; 0 turns previews off. `observers` are told what passes in the loop, see
        probes/observers.py. None of these changes a pixel of the result.
        Raise ValueError for an unknown model or scheduler or a size over the limits, MemoryError when the
        job does not fit, OSError when a model cannot be read or a picture cannot be saved.
        """
        manager = self._ready_manager()
        from . import generation

        options = self._options(on_step, preview_every, save, observers)
        return generation.txt2img(manager, request, options)

    def img2img(
        self,
        request: Img2ImgRequest,
        on_step: Callable[[Step], None] | None = None,
        *,
        preview_every: int = 3,
        save: bool = True,
        observers: Sequence[object] = (),
    ) -> Img2ImgResult:
        """Make pictures from a picture; for everything else as txt2img.

        Only strength's share of the steps is run, request.steps_run. The same seed has the same noise at any
        strength; at strength 1 the picture is txt2img's. Raise ValueError also for a file that is no picture.
        """
        manager = self._ready_manager()
        from . import generation

        options = self._options(on_step, preview_every, save, observers)
        return generation.img2img(manager, request, options)

    def inpaint(
        self,
        request: InpaintRequest,
        on_step: Callable[[Step], None] | None = None,
        *,
        preview_every: int = 3,
        save: bool = True,
        observers: Sequence[object] = (),
    ) -> InpaintResult:
        """Repaint the white part of a mask; for everything else as img2img.

        The kept pixels of the result are the input's, byte for byte; the result also holds the raw picture,
        the VAE's round trip and a report of what they changed. An empty mask gives the input and a notice.
        """
        manager = self._ready_manager()
        from . import generation

        options = self._options(on_step, preview_every, save, observers)
        return generation.inpaint(manager, request, options)

    def blend(
        self,
        request: BlendRequest,
        on_step: Callable[[Step], None] | None = None,
        *,
        preview_every: int = 3,
        save: bool = True,
        observers: Sequence[object] = (),
    ) -> BlendResult:
        """Make the picture of an expression, with its tensor; for everything else as txt2img.

        The picture is txt2img's of `request.blended_prompt`, and that is the prompt saved in it.
        """
        manager = self._ready_manager()
        from . import generation

        options = self._options(on_step, preview_every, save, observers)
        return generation.blend(manager, request, options)

    def walk(
        self,
        request: WalkRequest,
        on_step: Callable[[Step], None] | None = None,
        *,
        preview_every: int = 3,
        save: bool = True,
        observers: Sequence[object] = (),
    ) -> WalkResult:
        """Make the pictures from a to b on one noise, and measure where they part; otherwise as txt2img.

        Frames go through the U-Net settings.batch_size at a time, both ends alone. Each is saved with the
        request that makes it again; beside the last one lie film, strip, sheet and plot.
        """
        manager = self._ready_manager()
        from . import generation

        options = self._options(on_step, preview_every, save, observers)
        return generation.walk(manager, request, options)

    def plane(
        self,
        request: PlaneRequest,
        on_step: Callable[[Step], None] | None = None,
        *,
        preview_every: int = 3,
        save: bool = True,
        observers: Sequence[object] = (),
    ) -> PlaneResult:
        """Make a grid of pictures on one noise, rows from a to b, columns along a direction; see walk."""
        manager = self._ready_manager()
        from . import generation

        options = self._options(on_step, preview_every, save, observers)
        return generation.plane(manager, request, options)

    def encode(self, prompt: str, model: str | None = None, *, clip_skip: int = 1) -> Encoding:
        """Return a prompt as the U-Net reads it: (77*n, D) numbers with a row for each token.

        The array is the pipeline's own encode_prompt tensor. Raise ValueError for a bad prompt.
        """
        manager = self._ready_manager()
        from . import generation

        return generation.encode(manager, prompt, model, clip_skip=clip_skip)

    def look_up(
        self,
        prompt: str,
        row: int,
        model: str | None = None,
        *,
        clip_skip: int = 1,
        count: int = 8,
        on_step: Callable[[Step], None] | None = None,
    ) -> RowReport:
        """Describe one row of an encoded prompt: length, largest channels, nearest words.

        The first call of a model encodes its vocabulary once and tells on_step how far it is; Cancelled
        raised there comes out of here, since half a vocabulary is none.
        """
        manager = self._ready_manager()
        from . import generation

        return generation.look_up(
            manager, prompt, row, model, clip_skip=clip_skip, count=count, on_step=on_step
        )

    def token_table(self, prompt: str, model: str | None = None) -> TokenTable:
        """List all rows the model reads for a prompt. Loads no weights; does not wait for a running job."""
        check_text("prompt", prompt, MAX_PROMPT)
        info, manager = find_model(self.settings, model), self._ready_manager()
        from .text import token_reports

        return token_reports.table(manager, info, prompt)

    def tokens(
        self, prompt: str, model: str | None = None, *, steps: RunOf | None = None, negative: bool = False
    ) -> TokenReport:
        """Tell how a prompt is read when `steps`, run and in all, are taken; as token_table."""
        check_text("prompt", prompt, MAX_PROMPT)
        info, manager = find_model(self.settings, model), self._ready_manager()
        from .text import token_reports

        return token_reports.report(manager, info, prompt, steps=steps, negative=negative)

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

    def score_phrases(self, result: InterrogateResult, keep: Sequence[int]) -> KeptScore:
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

    def unload(self, name: str | None = None, on_event: Callable[[str], None] | None = None) -> None:
        """Drop the weights of one model, or all, after the running job; the next one loads them again.

        While a job runs, on_event("Waiting") is called now and then; raising Cancelled in it gives up.
        """
        if self._manager:
            self._manager.unload(name, on_event)

    def find_model(self, name: str | None = None) -> ModelInfo:
        """Return the model of that name, by default the owner's; raise ValueError saying why not."""
        return find_model(self.settings, name)

    def downloaded(self) -> tuple[Downloaded, ...]:
        """List the usable models in Hugging Face's cache, whichever program fetched them."""
        return tuple(
            Downloaded(hub_id=info.name, folder=repo_folder(info.name), size_bytes=info.size_bytes)
            for info in list_downloaded()
        )

    def _ready_manager(self) -> "ModelManager":
        """Return the one model manager; the first caller imports torch and diffusers, the others wait."""
        with self._import_lock:
            if self._manager is None:
                from . import generation  # noqa: F401 - everything a job needs, imported by one thread
                from .probes.kept_recordings import RecentRecordings
                from .weights.model_manager import ModelManager

                self._recent = RecentRecordings()
                self._manager = ModelManager(self.settings)
            return self._manager

    def _options(
        self,
        on_step: Callable[[Step], None] | None,
        preview_every: int,
        save: bool,
        observers: Sequence[object],
    ) -> "RunOptions":
        """Return how a job is run. Its pictures' films are kept in memory, among those of the last jobs."""
        from . import generation

        assert self._recent is not None
        return generation.RunOptions(on_step, preview_every, save, observers, self._recent.add)
