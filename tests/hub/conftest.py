"""A hub on this machine, and an owner whose cache is empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sd_app import Settings, Studio
from tests.hub.server import HubServer, Repo, read_files, serve_hub, use_hub
from tests.hub.steps import HUB_ID


@pytest.fixture
def hub(
    random_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_embedded: None
) -> Iterator[HubServer]:
    """A hub that holds model-a, and an empty cache of its own; what is listed comes from there alone."""
    with serve_hub() as server:
        server.repos[HUB_ID] = Repo(files=read_files(random_models / "model-a"))
        use_hub(monkeypatch, server.url, tmp_path / "hub")
        yield server


@pytest.fixture
def owner(tmp_path: Path, hub: HubServer) -> Studio:
    return Studio(Settings(models_dir=tmp_path / "none", outputs_dir=tmp_path / "out"))
