"""A folder's scheduler configuration: what is kept, what is refused, and that no number of steps fails."""

import inspect

import pytest
import torch

from sd_app.checkpoints.noise_schedule import noise_schedule, why_no_noise_schedule
from sd_app.schedulers import SCHEDULERS, find_scheduler
from sd_app.weights.scheduling import check_first_signal, make_scheduler, set_steps, weak_start

SD: dict[str, object] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
BOTH = [(name, kind) for name, info in SCHEDULERS.items() for kind in info.schedule_types]
ODD: dict[str, dict[str, object]] = {
    "as it is": {},
    "zero terminal SNR": {
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
    },
    "zero terminal SNR with epsilon": {"rescale_betas_zero_snr": True},
    "two kinds of sigmas, another family's ends": {
        "use_karras_sigmas": True,
        "use_beta_sigmas": True,
        "sigma_min": 0.002,
        "sigma_max": 700.0,
        "final_sigmas_type": "sigma_min",
    },
    "clipping and a strange order": {
        "clip_sample": True,
        "thresholding": True,
        "solver_type": "foo",
        "algorithm_type": "deis",
        "solver_order": 7,
    },
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "few levels": {"num_train_timesteps": 100},
    "predicts x0": {"prediction_type": "sample"},
    "a large offset": {"steps_offset": 50},
}
DEVICE = torch.device("cpu")
# Every third by default: each sampler and each configuration is among them.
EVERY_ODD_ONE = [
    pytest.param(name, kind, odd, marks=[pytest.mark.slow] if (number + place) % 3 else [])
    for number, (name, kind) in enumerate(BOTH)
    for place, odd in enumerate(ODD)
]


def walk(name: str, kind: str, config: dict[str, object], steps: int, skipped: int) -> torch.Tensor:
    """Run the loop with a model that knows x0; return how far from it the end is, (2, 4, 4, 4)."""
    scheduler = make_scheduler(find_scheduler(name, kind).full_name, {**SD, **config})
    set_steps(scheduler, steps, DEVICE)
    timesteps = scheduler.timesteps[skipped * scheduler.order :]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped * scheduler.order)
    check_first_signal(scheduler, timesteps[0])
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    x0 = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(9))
    noise = torch.cat([torch.randn(1, 4, 4, 4, generator=generator) for generator in generators])
    x = noise * scheduler.init_noise_sigma
    if skipped:
        x = scheduler.add_noise(x0, noise, timesteps[:1].repeat(2))
    takes = "generator" in inspect.signature(type(scheduler).step).parameters
    fresh = {"generator": generators} if takes else {}
    for timestep in timesteps:
        z = scheduler.scale_model_input(x, timestep)
        alpha = float(scheduler.alphas_cumprod[round(float(timestep))]) ** 0.5
        sigma = max((1 - alpha**2) ** 0.5, 1e-4)
        eps = (z - alpha * x0) / sigma
        known = {"epsilon": eps, "v_prediction": alpha * eps - sigma * x0, "sample": x0}
        output = known[str(scheduler.config["prediction_type"])]
        x = scheduler.step(output, timestep, x, return_dict=False, **fresh)[0]
    return x - x0


@pytest.mark.parametrize(("name", "kind", "odd"), EVERY_ODD_ONE)
def test_an_odd_configuration_ends_at_x0_or_is_refused_in_a_sentence(name, kind, odd):
    sentences: list[str] = []
    for steps, skipped in ((1, 0), (12, 0), (12, 5)):
        try:
            error = walk(name, kind, ODD[odd], steps, skipped)
        except ValueError as refused:
            sentences.append(str(refused))
            continue
        assert error.isfinite().all()
        if steps == 12 and name != "PLMS" and not (name == "LMS" and skipped):
            assert error.abs().max() < (0.8 if odd == "a large offset" else 0.3)
    assert all(" must " in sentence and sentence.endswith(")") for sentence in sentences)


@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_every_number_of_steps_runs(name, kind):
    for steps in (1, 150, 1000):
        if steps > (SCHEDULERS[name].max_steps or 1000):
            continue
        scheduler = make_scheduler(find_scheduler(name, kind).full_name, SD)
        set_steps(scheduler, steps, DEVICE)
        assert 0 <= scheduler.timesteps.min() <= scheduler.timesteps.max() <= 999
        assert -(-len(scheduler.timesteps) // scheduler.order) in (steps, steps + (name == "PLMS"))
        if steps < 1000:
            assert walk(name, kind, {}, steps, max(0, steps - 3)).isfinite().all()


def test_a_start_far_from_the_strongest_noise_is_said():
    scheduler = make_scheduler("DDIM", SD)
    set_steps(scheduler, 5, DEVICE)
    assert "noise level 801 of 999" in weak_start(scheduler)
    set_steps(scheduler, 50, DEVICE)
    assert weak_start(scheduler) == ""
    scheduler = make_scheduler("DDIM SGM Uniform", SD)
    set_steps(scheduler, 2, DEVICE)
    assert weak_start(scheduler) == ""


def test_only_the_noise_schedule_is_kept():
    kept = noise_schedule({**SD, **ODD["clipping and a strange order"], "trained_betas": None})
    assert kept == {**SD, "trained_betas": None}
    assert noise_schedule({**SD, "_use_default_values": ["steps_offset"]}).keys() == SD.keys() - {
        "steps_offset"
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"prediction_type": "flow_prediction"},
        {"use_flow_sigmas": True},
        {"prediction_type": "x"},
        {"beta_schedule": "sigmoid"},
        {"timestep_spacing": "even"},
        {"num_train_timesteps": 0},
        {"num_train_timesteps": "many"},
        {"steps_offset": -1},
        {"steps_offset": 1000},
        {"beta_end": 1.5},
        {"trained_betas": [0.1, 0.2]},
        {"timestep_type": "continuous"},
        {"rescale_betas_zero_snr": "yes"},
        {"original_inference_steps": 0},
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(wrong):
    assert why_no_noise_schedule(SD) == ""
    reason = why_no_noise_schedule({**SD, **wrong})
    assert reason
    assert "\n" not in reason
    assert "[" not in reason
