"""What the tests of the hub share: one model's names, and how a download is watched and cancelled."""

from collections.abc import Callable
from pathlib import Path

from sd_app import Studio
from sd_app.hub.hub_cache import repo_folder
from sd_app.requests import Cancelled, DownloadProgress
from tests.hub.server import HubServer, Repo

HUB_ID = "owner/some-model"
UNET = "unet/diffusion_pytorch_model.safetensors"
ENCODER = "text_encoder/model.safetensors"  # the largest file
SLOW = 2_000_000  # bytes a second of one connection


def repo_of(hub: HubServer) -> Repo:
    return hub.repos[HUB_ID]


def names(studio: Studio) -> list[str]:
    return [info.name for info in studio.models()]


def blobs() -> list[Path]:
    return sorted((repo_folder(HUB_ID) / "blobs").iterdir())


def cancel_after(share: float) -> tuple[Callable[[DownloadProgress], None], list[DownloadProgress]]:
    """Return an on_progress that cancels once so much is there, and the list of what it was told."""
    told: list[DownloadProgress] = []

    def on_progress(progress: DownloadProgress) -> None:
        told.append(progress)
        if progress.fraction > share:
            raise Cancelled

    return on_progress, told
