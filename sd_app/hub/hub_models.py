"""Models of the hub, as their owner asks for them: a part of the studio."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from ..checkpoints.model_info import ModelInfo
from ..requests import DownloadPlan, DownloadProgress
from ..settings import Settings
from .curated import CURATED, CuratedModel
from .hub_cache import remove


class HubModels(ABC):
    """What the studio does with models of the hub."""

    settings: Settings

    @abstractmethod
    def find_model(self, name: str | None = None) -> ModelInfo:
        """Return the model of that name."""

    @abstractmethod
    def unload(self, name: str | None = None, on_event: Callable[[str], None] | None = None) -> None:
        """Drop the weights of one model, or all."""

    def curated_models(self) -> tuple[CuratedModel, ...]:
        """List hub models to begin with."""
        return tuple(CURATED.values())

    def plan_download(self, hub_id: str, waiting: Callable[[], None] | None = None) -> DownloadPlan:
        """Find out what adding a hub model would fetch; nothing is written.

        waiting is called five times a second; raising Cancelled in it ends the lookup, and comes out of here.
        Raise ValueError for an unknown id, a gated model, one without safetensors or of another family,
        OSError when the hub cannot be reached.
        """
        self._check_local()
        from .plan import plan_download

        return plan_download(hub_id, waiting)

    def download(
        self,
        model: str | DownloadPlan,
        on_progress: Callable[[DownloadProgress], None] | None = None,
        *,
        bar: bool | None = None,
    ) -> ModelInfo:
        """Fetch a hub model, by id or as planned, into Hugging Face's cache and return it.

        Jobs go on meanwhile. on_progress is called five times a second; raising Cancelled in it stops, and
        comes out of here. What has come is kept and continued the next time. Without it a bar runs in the
        terminal (`bar` decides). Raises as plan_download does, and ValueError when the disk is too small.
        """
        self._check_local()
        from .download import download
        from .plan import plan_download

        plan = plan_download(model) if isinstance(model, str) else model
        download(plan, on_progress, bar=bar)
        return self.find_model(plan.hub_id)

    def remove_download(self, hub_id: str) -> int:
        """Delete a hub model, or what has come of it, from disk and memory; return the bytes that frees.

        Waits for the running job. Raise ValueError if nothing of it is there or it is being fetched.
        """
        self._check_local()
        from .removing import check_removable

        hub_id = check_removable(hub_id)
        self.unload(hub_id)
        return remove(hub_id)

    def _check_local(self) -> None:
        if self.settings.mode != "local":
            raise ValueError(
                "models are added and removed by the owner alone, where the app runs (local mode)"
            )
