"""Random checkpoints and two LoRAs, for the tests of add-ons that bring no models of their own."""

from pathlib import Path

import pytest

from sd_app import Studio
from tests.addons.lora_writers import kohya, lora_layers, write_lora
from tests.addons.steps import PROMPT, draw, make_studio


@pytest.fixture(scope="module")
def models_dir(random_models, tmp_path_factory) -> Path:
    """The random checkpoints, and loras/ with a and b for model-a."""
    folder: Path = tmp_path_factory.mktemp("with-loras")
    for model in random_models.iterdir():
        (folder / model.name).symlink_to(model)
    return folder


@pytest.fixture(scope="module")
def studio(models_dir, tmp_path_factory) -> Studio:
    studio = make_studio(models_dir, tmp_path_factory.mktemp("o"))
    with studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        for seed, name in enumerate("ab"):
            write_lora(
                models_dir / "loras" / f"{name}.safetensors", kohya(lora_layers(pipe.components, seed))
            )
    return studio


@pytest.fixture(scope="module")
def base(studio) -> bytes:
    """The picture of the checkpoint alone."""
    return draw(studio, PROMPT)
