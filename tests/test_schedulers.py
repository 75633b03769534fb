import inspect

import numpy as np
import pytest

from sd_app import Txt2ImgRequest
from sd_app.schedulers import SCHEDULER_NAMES, find_scheduler
from sd_app.weights.scheduling import make_scheduler, predict_x0

ORIGINAL = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def test_the_names_people_know_are_there():
    wanted = {"DDIM", "DPM++ 2M", "DPM++ SDE", "Euler", "Euler a", "Heun", "UniPC", "LCM"}
    assert wanted <= set(SCHEDULER_NAMES)


def test_an_unknown_name_lists_the_valid_ones():
    with pytest.raises(ValueError, match=r"scheduler must be one of DDIM, .* got 'ddim'"):
        make_scheduler("ddim", ORIGINAL)


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_every_keyword_of_the_table_lands_in_the_configuration(name):
    scheduler = make_scheduler(name, ORIGINAL)
    known = inspect.signature(type(scheduler).__init__).parameters
    for key, value in find_scheduler(name).config.items():
        assert key in known, f"{type(scheduler).__name__} ignores {key}"
        assert scheduler.config[key] == value
    assert scheduler.config["beta_end"] == ORIGINAL["beta_end"]


def test_settings_of_one_job_do_not_leak_into_the_next():
    config = make_scheduler("DDIM", ORIGINAL).config
    assert make_scheduler("DPM++ 2M Karras", config).config["use_karras_sigmas"] is True
    assert make_scheduler("DPM++ 2M", config).config["use_karras_sigmas"] is False
    assert "use_karras_sigmas" not in config


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_with_a_perfect_model_every_scheduler_ends_at_x0_and_sees_it_all_along(name, prediction_type):
    """The model knows x0, so what it predicts is exact: x0 must be seen at every step and reached."""
    import torch

    scheduler = make_scheduler(name, {**ORIGINAL, "prediction_type": prediction_type})
    scheduler.set_timesteps(20, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(2, 4, 8, 8, generator=generator)
    x = torch.randn(x0.shape, generator=generator) * scheduler.init_noise_sigma
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    keywords = {"generator": generator} if takes_generator else {}
    timeline = np.arange(1000)
    signal = scheduler.alphas_cumprod.numpy()
    for index, timestep in enumerate(scheduler.timesteps):
        z = scheduler.scale_model_input(x, timestep)  # = alpha * x0 + sigma * eps for every scheduler
        alpha_bar = float(np.interp(float(timestep), timeline, signal))
        alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
        eps = (z - alpha * x0) / sigma
        output = eps if prediction_type == "epsilon" else alpha * eps - sigma * x0
        if name != "PLMS" or timestep > 0:
            error = (predict_x0(scheduler, index, timestep, output, x) - x0).abs().max() * alpha
            assert error < 0.02, f"at timestep {timestep}"
        x = scheduler.step(output, timestep, x, return_dict=False, **keywords)[0]
    assert (x - x0).abs().max() < 0.15


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_every_scheduler_draws_a_picture_with_the_embedded_model(studio, name):
    request = Txt2ImgRequest(prompt="a red circle", scheduler=name, num_inference_steps=6, seed=1)
    with np.errstate(invalid="raise"):  # a NaN would be cast to black
        result = studio.txt2img(request, save=False)
    pixels = np.asarray(result.images[0])
    assert pixels.shape == (128, 128, 3)
    assert pixels.std() > 1
