from pathlib import Path

import pytest

from sd_app import Settings


def test_defaults_find_the_models_beside_the_package():
    assert Settings().models_dir == Path(__file__).resolve().parent.parent / "models"


def test_folders_may_be_given_as_text():
    assert Settings(outputs_dir="some/where").outputs_dir == Path("some/where")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("device", "gpu"),
        ("device", None),
        ("dtype", "float8"),
        ("mode", "public"),
        ("model", " "),
        ("lowvram", "yes"),
        ("cuda_graphs", "on"),
        ("channels_last", 1),
        ("compile", None),
        ("max_pixels", 10),
        ("max_images", True),
        ("batch_size", 0),
        ("cache_gigabytes", float("nan")),
        ("cache_gigabytes", -1),
        ("cache_gigabytes", "2"),
        ("tile_above", -1),
        ("tile_above", 1.5),
    ],
)
def test_a_bad_setting_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        Settings(**{field: value})


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:3"])
def test_devices_are_accepted(device):
    assert Settings(device=device).device == device
