"""What a checkpoint says of the noise it was trained on: which of its scheduler's settings, and if sound.

A scheduler's configuration mixes the noise schedule, which belongs to the weights, with how some sampler
takes its steps, which the user chooses. Only the first is kept. No torch.
"""

from collections.abc import Mapping

from ..user_files import JsonObject

BETA_SCHEDULES = ("scaled_linear", "linear", "squaredcos_cap_v2")
SPACINGS = ("leading", "linspace", "trailing")
PREDICTIONS = ("epsilon", "v_prediction", "sample")
MAX_TIMESTEPS = 10_000
FILE = "scheduler/scheduler_config.json"

# What belongs to the weights, distilled ones too. The ends of sigma do not: they follow from the betas.
KEPT = (
    *("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type"),
    *("timestep_spacing", "steps_offset", "set_alpha_to_one", "rescale_betas_zero_snr", "interpolation_type"),
    *("original_inference_steps", "timestep_scaling"),
)
_DEFAULTS = "_use_default_values"  # diffusers' list of what a configuration does not say itself


def noise_schedule(config: Mapping[str, object]) -> dict[str, object]:
    """Return the settings of a checkpoint's scheduler that say what noise it was trained on."""
    unsaid = config.get(_DEFAULTS) or ()
    assert isinstance(unsaid, list | tuple)
    return {name: config[name] for name in KEPT if name in config and name not in unsaid}


def why_no_noise_schedule(config: JsonObject) -> str:
    """Say why a checkpoint's scheduler cannot be used, in words for its owner; empty when it can."""
    if str(config.get("prediction_type")).startswith("flow") or config.get("use_flow_sigmas"):
        return "it was trained by flow matching, whose noise differs from Stable Diffusion's"
    for name, choices in (
        ("beta_schedule", BETA_SCHEDULES),
        ("timestep_spacing", SPACINGS),
        ("prediction_type", PREDICTIONS),
        ("interpolation_type", ("linear", "log_linear")),
        ("timestep_type", ("discrete",)),
    ):
        if (value := config.get(name, choices[0])) not in choices:
            return _wrong(name, f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0], value)
    return _why_wrong_number(config)


def _why_wrong_number(config: JsonObject) -> str:
    timesteps = config.get("num_train_timesteps", 1000)
    if not _is_whole(timesteps, 1, MAX_TIMESTEPS):
        return _wrong("num_train_timesteps", f"a whole number from 1 to {MAX_TIMESTEPS}", timesteps)
    assert isinstance(timesteps, int)
    if not _is_whole(offset := config.get("steps_offset", 0), 0, timesteps - 1):
        return _wrong("steps_offset", f"a whole number from 0 to {timesteps - 1}", offset)
    for name, default in (("beta_start", 0.0001), ("beta_end", 0.02)):
        if not _is_beta(value := config.get(name, default)):
            return _wrong(name, "a number between 0 and 1", value)
    if not _is_whole(steps := config.get("original_inference_steps", 50), 1, timesteps):
        return _wrong("original_inference_steps", f"a whole number from 1 to {timesteps}", steps)
    scaling = config.get("timestep_scaling", 10.0)
    if isinstance(scaling, bool) or not isinstance(scaling, int | float) or not 0 < scaling < 1e6:
        return _wrong("timestep_scaling", "a number above 0", scaling)
    for name in ("rescale_betas_zero_snr", "set_alpha_to_one"):
        if not isinstance(flag := config.get(name, False), bool):
            return _wrong(name, "true or false", flag)
    betas = config.get("trained_betas")
    if betas is not None and not (
        isinstance(betas, list) and len(betas) == timesteps and all(map(_is_beta, betas))
    ):
        return f"the trained_betas in its {FILE} must be {timesteps} numbers between 0 and 1"
    return ""


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_beta(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1


def _wrong(name: str, rule: str, value: object) -> str:
    return f"the {name} in its {FILE} must be {rule}, got {_named(value)}"


def _named(value: object) -> str:
    """Return a value of a stranger's file in one short line."""
    text = "nothing" if value is None else str(value)
    text = " ".join("".join(char for char in text if char.isprintable()).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
