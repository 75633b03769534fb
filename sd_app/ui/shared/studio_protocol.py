"""What the page calls of the studio it is given. It never imports the studio itself."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from ...checkpoints.model_info import ModelInfo
from ...metadata import PictureInfo
from ...requests import (
    BlendRequest,
    BlendResult,
    Downloaded,
    DownloadPlan,
    DownloadProgress,
    Encoding,
    Img2ImgRequest,
    Img2ImgResult,
    InpaintRequest,
    InpaintResult,
    InsideRequest,
    InsideResult,
    InterrogateRequest,
    InterrogateResult,
    KeptRecording,
    KeptScore,
    LookAnswer,
    LookFacts,
    MatchRequest,
    MatchResult,
    PanelShown,
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
from ...templates import Style, StyleFile

OnStep = Callable[[Step], None]
Make = Callable[[Any, OnStep], Any]  # a job; which types, the method of the studio says


class PageSettings(Protocol):
    """What the page reads of the settings."""

    @property
    def mode(self) -> str: ...
    @property
    def models_folder(self) -> str: ...
    @property
    def outputs_dir(self) -> Path: ...
    @property
    def cache_dir(self) -> Path: ...
    @property
    def max_pixels(self) -> int: ...
    @property
    def max_images(self) -> int: ...


class AddonEntry(Protocol):
    """One add-on as a menu lists it."""

    @property
    def label(self) -> str: ...
    @property
    def text(self) -> str: ...


class AddonFacts(Protocol):
    """What is said of the add-on that was chosen."""

    @property
    def title(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def trigger_words(self) -> Sequence[str]: ...


class SuggestedModel(Protocol):
    """A model of the hub to begin with."""

    @property
    def hub_id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def line(self) -> str: ...


class RecordedPicture(Protocol):
    """A picture recorded again, and whether it is the same one."""

    @property
    def recording(self) -> Any: ...
    @property
    def sentence(self) -> str: ...
    @property
    def is_identical(self) -> bool: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def recording_name(self) -> str: ...


class PageStudio(Protocol):
    """The studio, as the page calls it; see sd_app/studio.py for what each method does."""

    @property
    def settings(self) -> PageSettings: ...

    # -- what there is to choose from

    def models(self) -> list[ModelInfo]: ...
    def schedulers(self) -> tuple[str, ...]: ...
    def vaes(self) -> tuple[str, ...]: ...
    def addons(self) -> Sequence[AddonEntry]: ...
    def describe_addon(self, text: str) -> AddonFacts: ...
    def clip_models(self) -> tuple[str, ...]: ...
    def caption_models(self) -> tuple[str, ...]: ...
    def phrase_groups(self, clip_model: str | None = None) -> Mapping[str, bool]: ...

    # -- jobs

    def txt2img(self, request: Txt2ImgRequest, on_step: OnStep | None = None) -> Txt2ImgResult: ...
    def img2img(self, request: Img2ImgRequest, on_step: OnStep | None = None) -> Img2ImgResult: ...
    def inpaint(self, request: InpaintRequest, on_step: OnStep | None = None) -> InpaintResult: ...
    def blend(self, request: BlendRequest, on_step: OnStep | None = None) -> BlendResult: ...
    def walk(self, request: WalkRequest, on_step: OnStep | None = None) -> WalkResult: ...
    def plane(self, request: PlaneRequest, on_step: OnStep | None = None) -> PlaneResult: ...
    def interrogate(
        self, request: InterrogateRequest, on_step: OnStep | None = None
    ) -> InterrogateResult: ...
    def score_phrases(self, result: InterrogateResult, keep: Sequence[int]) -> KeptScore: ...
    def match(self, request: MatchRequest) -> MatchResult: ...
    def styles(self) -> StyleFile: ...
    def save_style(self, style: Style, old_name: str = "") -> None: ...
    def delete_style(self, name: str) -> None: ...
    def picture_info(self, picture: str | Path) -> PictureInfo: ...
    def inside(self, request: InsideRequest, on_step: OnStep | None = None) -> InsideResult: ...
    def compare_pictures(
        self, image: Image.Image, others: Sequence[Image.Image], clip_model: str | None = None
    ) -> tuple[float, ...]: ...

    # -- what a prompt becomes

    def tokens(
        self,
        prompt: str,
        model: str | None = None,
        *,
        steps: tuple[int, int] | None = None,
        negative: bool = False,
    ) -> TokenReport: ...
    def token_table(self, prompt: str, model: str | None = None) -> TokenTable: ...
    def encode(self, prompt: str, model: str | None = None, *, clip_skip: int = 1) -> Encoding: ...
    def look_up(
        self,
        prompt: str,
        row: int,
        model: str | None = None,
        *,
        clip_skip: int = 1,
        count: int = 8,
        on_step: OnStep | None = None,
    ) -> RowReport: ...

    # -- how a picture came about; recordings and looks are the studio's own: the page hands them back

    def film_of(self, request: Txt2ImgRequest) -> Any: ...
    def record_again(
        self,
        request: Txt2ImgRequest,
        picture: Image.Image,
        on_step: OnStep | None = None,
        *,
        announce: Callable[[int], None] | None = None,
    ) -> RecordedPicture: ...
    def record_picture(
        self,
        picture: str | Path,
        on_step: OnStep | None = None,
        *,
        init_image: Any = None,
        mask_image: Any = None,
        announce: Callable[[int], None] | None = None,
    ) -> RecordedPicture: ...
    def recordings(self) -> list[str]: ...
    def describe_recording(self, name: str) -> KeptRecording: ...
    def open_recording(self, name: str) -> Any: ...
    def look(self, recording: Any) -> Any: ...
    def look_at_picture(self, picture: Image.Image | str | Path, reason: str) -> Any: ...
    def look_facts(self, looked: Any) -> LookFacts: ...
    def look_answer(
        self, looked: Any, panel: str, action: str, given: Mapping[str, object]
    ) -> LookAnswer: ...
    def look_files(self, looked: Any, panel: str) -> PanelShown: ...

    # -- memory, and models of the hub

    def status(self) -> Status: ...
    def unload(self, name: str | None = None, on_event: Callable[[str], None] | None = None) -> None: ...
    def curated_models(self) -> Sequence[SuggestedModel]: ...
    def downloaded(self) -> Sequence[Downloaded]: ...
    def plan_download(self, hub_id: str, waiting: Callable[[], None] | None = None) -> DownloadPlan: ...
    def download(
        self,
        model: str | DownloadPlan,
        on_progress: Callable[[DownloadProgress], None] | None = None,
        *,
        bar: bool | None = None,
    ) -> ModelInfo: ...
    def remove_download(self, hub_id: str) -> int: ...
