"""Look inside, as the studio offers it. Importing it is cheap; torch loads with the first call."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..requests import (
    InsideRequest,
    InsideResult,
    KeptRecording,
    LookAnswer,
    LookFacts,
    PanelShown,
    Step,
    Txt2ImgRequest,
)
from ..settings import Settings

if TYPE_CHECKING:
    from PIL import Image

    from ..probes.kept_recordings import RecentRecordings, RecordingFolder
    from ..probes.recording import Recording
    from ..weights.model_manager import ModelManager
    from .look import Look, Looked, PictureAlone
    from .record import RecordedPicture
    from .vae_loss import VaeLoss

    Picture = Image.Image | str | Path
    Announce = Callable[[int], None]


class LooksInside(ABC):
    """What the studio shows of how a picture came about."""

    settings: Settings
    _recent: "RecentRecordings | None"

    @abstractmethod
    def _ready_manager(self) -> "ModelManager": ...

    def film_of(self, request: Txt2ImgRequest) -> "Recording | None":
        """Return what passed in the making of a picture of the last jobs, by the picture's own request.

        That is request_of(k) of a job's result: latents and the U-Net's outputs, kept in memory as the
        picture was made. None if it was made before the app started, or too many pictures ago.
        """
        return self._recent.find(request) if self._recent else None

    def record(
        self,
        request: Txt2ImgRequest,
        on_step: Callable[[Step], None] | None = None,
        *,
        attention: bool = True,
        features: bool = True,
        announce: "Announce | None" = None,
        keep: bool = True,
    ) -> "Recording":
        """Make a request's one picture with everything watched, and return what passed.

        `announce` is told the recording's size in bytes before the first step. The latest recordings are
        kept in cache_dir, by their size. Raise ValueError for several pictures, for a recording that would
        be too large for one or for the disk, and as the job itself; Cancelled where on_step raised it.
        """
        manager = self._ready_manager()
        from ..probes.recorder import Watch
        from . import record

        watch, folder = Watch(attention=attention, features=features), self._recordings() if keep else None
        return record.record(manager, request, folder, watch=watch, on_step=on_step, announce=announce)[0]

    def recording_size(
        self, request: Txt2ImgRequest, *, attention: bool = True, features: bool = True
    ) -> int:
        """Return the bytes that a recording will have. The model is loaded, but no step is taken."""
        manager = self._ready_manager()
        from ..probes.recorder import Watch
        from . import record

        return record.recording_size(manager, request, Watch(attention=attention, features=features))

    def record_picture(
        self,
        picture: str | Path,
        on_step: Callable[[Step], None] | None = None,
        *,
        init_image: "Picture | None" = None,
        mask_image: "Picture | None" = None,
        announce: "Announce | None" = None,
        keep: bool = True,
    ) -> "RecordedPicture":
        """Run the request in a picture's file again with everything watched, and compare the pictures.

        Pictures that began from another one do not hold it: it is given as init_image, an inpainting's mask
        as mask_image. The sentence of what comes back says whether both pictures are the same to the byte,
        or why not. Raise ValueError for a file without parameters and a model that is not here; otherwise as
        record.
        """
        manager = self._ready_manager()
        from . import record

        return record.record_picture(
            manager,
            Path(picture),
            self._recordings() if keep else None,
            **record.open_given(init_image, mask_image),
            on_step=on_step,
            announce=announce,
        )

    def record_again(
        self,
        request: Txt2ImgRequest,
        picture: "Image.Image",
        on_step: Callable[[Step], None] | None = None,
        *,
        announce: "Announce | None" = None,
        keep: bool = True,
    ) -> "RecordedPicture":
        """Record a request and compare its picture with the one it made before; see record_picture."""
        manager = self._ready_manager()
        from . import record

        folder = self._recordings() if keep else None
        return record.record_again(manager, request, picture, folder, on_step=on_step, announce=announce)

    def inside(self, request: InsideRequest, on_step: Callable[[Step], None] | None = None) -> InsideResult:
        """Record a picture's request again and make all panels of it, as files in memory.

        What cannot be recorded is said in the result's sentence, and the panels that need no recording are
        shown. Raise ValueError for a file that is no picture and unknown panels; Cancelled where on_step
        raised it.
        """
        manager = self._ready_manager()
        from . import report

        return report.look_inside(manager, request, self._recordings(), on_step)

    def look(self, recording: "Recording", on_step: Callable[[Step], None] | None = None) -> "Look":
        """Return a recording joined with the models here: what the panels' functions work with.

        on_step hears of pictures that a panel makes; Cancelled raised in it comes out there.
        """
        manager = self._ready_manager()
        from .look import Look

        return Look(manager, recording, on_step=on_step)

    def look_at_picture(self, picture: "Picture", reason: str) -> "PictureAlone":
        """Return a picture that could not be recorded, for this reason: some panels need no recording.

        Of a file the text in it is read too, so that its words are shown. Raise ValueError for a file that is
        no picture.
        """
        manager = self._ready_manager()
        from .look import look_at_picture

        return look_at_picture(manager, picture, reason)

    def look_facts(self, looked: "Looked") -> LookFacts:
        """Return what there is to be seen of what `look` or `look_at_picture` returned. Runs nothing."""
        from . import page

        return page.look_facts(looked)

    def look_answer(
        self, looked: "Looked", panel: str, action: str, given: Mapping[str, object]
    ) -> LookAnswer:
        """Answer what is done in a panel, `given` by its names. Raise ValueError in words."""
        from . import page

        return page.answer(looked, panel, action, given)

    def look_files(self, looked: "Looked", panel: str) -> PanelShown:
        """Make a panel's files of what is looked at. What cannot be shown is said in them."""
        from . import page

        return page.panel_files(looked, panel)

    def vae_loss(self, picture: "Picture", *, model: str | None = None, vae: str | None = None) -> "VaeLoss":
        """Send any picture through a model's VAE and back, and return what that loses, and where.

        None means the app's own model and that model's own VAE. A picture is scaled down to a megapixel and
        cut to whole cells of 8 pixels, which is said. Raise ValueError for a file that is no picture, a model
        that is not here, and a picture below 16x16 pixels.
        """
        manager = self._ready_manager()
        from ..images import open_image
        from .vae_loss import vae_loss

        image = open_image(picture) if isinstance(picture, str | Path) else picture
        return vae_loss(manager, image, model, vae)

    def recordings(self) -> list[str]:
        """List the recordings that are kept, by name, the newest first."""
        return [path.name for path in self._recordings().paths()]

    def describe_recording(self, name: str) -> KeptRecording:
        """Return what a list says of a recording that is kept; the same errors as open_recording."""
        return self._recordings().describe(name)

    def open_recording(self, name: str) -> "Recording":
        """Return a recording that is kept. Raise ValueError if it is gone, damaged or of another version."""
        return self._recordings().load(name)

    def _recordings(self) -> "RecordingFolder":
        from ..probes.kept_recordings import RecordingFolder

        return RecordingFolder(self.settings.cache_dir)
