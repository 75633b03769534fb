"""A studio that saves memory wherever it can."""

from dataclasses import replace

import pytest

from sd_app import Studio


@pytest.fixture
def frugal_studio(random_settings) -> Studio:
    return Studio(replace(random_settings, lowvram=True))
