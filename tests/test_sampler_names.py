"""Samplers by other programs' names."""

import pytest

from sd_app.schedulers import SCHEDULERS, find_sampler, find_scheduler

NAMES = {
    # AUTOMATIC1111 before 1.9, since then, and its API
    ("DPM++ 2M Karras", ""): ("DPM++ 2M", "Karras"),
    ("DPM++ 2M", "Karras"): ("DPM++ 2M", "Karras"),
    ("DPM++ 2M", "Automatic"): ("DPM++ 2M", "Karras"),
    ("DPM++ 2M Karras", "Automatic"): ("DPM++ 2M", "Karras"),
    ("DPM++ 2M SDE Exponential", ""): ("DPM++ 2M SDE", "Exponential"),
    ("DPM++ 2M SDE Heun", "Automatic"): ("DPM++ 2M SDE Heun", "Exponential"),
    ("DPM++ 2M SDE Heun Karras", ""): ("DPM++ 2M SDE Heun", "Karras"),
    ("DPM++ SDE Karras", ""): ("DPM++ SDE", "Karras"),
    ("DPM2 a Karras", ""): ("DPM2 a", "Karras"),
    ("Euler a", "Automatic"): ("Euler a", "Uniform"),
    ("Euler", "Polyexponential"): ("Euler", "Exponential"),
    ("Euler", "SGM Uniform"): ("Euler", "SGM Uniform"),
    ("LMS Karras", ""): ("LMS", "Karras"),
    ("k_dpmpp_2m_ka", ""): ("DPM++ 2M", "Karras"),
    ("k_dpm_2_a", ""): ("DPM2 a", "Uniform"),
    # ComfyUI and Fooocus
    ("dpmpp_2m_sde_gpu", "karras"): ("DPM++ 2M SDE", "Karras"),
    ("dpmpp_2m_sde_heun_gpu", "beta"): ("DPM++ 2M SDE Heun", "Beta"),
    ("dpmpp_3m_sde_gpu", "exponential"): ("DPM++ 3M SDE", "Exponential"),
    ("dpmpp_sde", "karras"): ("DPM++ SDE", "Karras"),
    ("euler_ancestral", "normal"): ("Euler a", "Normal"),
    ("uni_pc_bh2", "simple"): ("UniPC", "SGM Uniform"),
    ("uni_pc", "sgm_uniform"): ("UniPC", "SGM Uniform"),
    ("lms", "normal"): ("LMS", "Normal"),
    ("ddim", "ddim_uniform"): ("DDIM", "DDIM"),
    ("dpm_2_ancestral", "karras"): ("DPM2 a", "Karras"),
    ("deis", "beta"): ("DEIS", "Beta"),
    # InvokeAI
    ("dpmpp_2m_k", ""): ("DPM++ 2M", "Karras"),
    ("dpmpp_2m_sde_k", ""): ("DPM++ 2M SDE", "Karras"),
    ("dpmpp_2s", ""): ("DPM++ 2S", "Uniform"),
    ("k_euler_a", ""): ("Euler a", "Uniform"),
    ("euler_a", ""): ("Euler a", "Uniform"),
    ("euler_k", ""): ("Euler", "Karras"),
    ("kdpm_2", ""): ("DPM2", "Uniform"),
    ("kdpm_2_a_k", ""): ("DPM2 a", "Karras"),
    ("unipc_k", ""): ("UniPC", "Karras"),
    ("pndm", ""): ("PLMS", "Uniform"),
    # NovelAI
    ("k_euler", "native"): ("Euler", "Uniform"),
    ("k_euler_ancestral", "native"): ("Euler a", "Uniform"),
    ("k_dpmpp_2m", "exponential"): ("DPM++ 2M", "Exponential"),
    ("k_dpmpp_2m", "polyexponential"): ("DPM++ 2M", "Exponential"),
    # SD.Next
    ("DPM++ 2M SDE", "karras"): ("DPM++ 2M SDE", "Karras"),
    ("Euler", "betas"): ("Euler", "Beta"),
    ("KDPM2 a", "default"): ("DPM2 a", "Uniform"),
    # diffusers
    ("DPMSolverMultistepScheduler", ""): ("DPM++ 2M", "Uniform"),
    ("EulerAncestralDiscreteScheduler", ""): ("Euler a", "Uniform"),
    ("KDPM2AncestralDiscreteScheduler", ""): ("DPM2 a", "Uniform"),
    ("DPMSolverSDEScheduler", "karras"): ("DPM++ SDE", "Karras"),
    ("DDPMScheduler", ""): ("DDPM", "Uniform"),
    # Draw Things
    ("Euler A", ""): ("Euler a", "Uniform"),
    ("DPM++ 2M Trailing", ""): ("DPM++ 2M", "SGM Uniform"),
    # as people type them
    ("  dpm++ 2m   karras ", ""): ("DPM++ 2M", "Karras"),
    ("DPM++2M", "KARRAS"): ("DPM++ 2M", "Karras"),
}


@pytest.mark.parametrize(("name", "schedule"), NAMES)
def test_other_programs_names_are_known(name, schedule):
    found = find_sampler(name, schedule)
    assert found == NAMES[name, schedule]
    assert find_scheduler(*found).schedule_type == found.schedule_type


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("", ""),
        ("", "karras"),
        ("karras", ""),
        ("restart", ""),
        ("dpm_fast", ""),
        ("DPM adaptive", "Karras"),
        ("DPM++ 2S a Karras", ""),  # ancestral, which DPM++ 2S is not
        ("k_dpmpp_2s_ancestral", "native"),
        ("euler_cfg_pp", "normal"),
        ("Euler A AYS", ""),
        ("Euler", "KL Optimal"),
        ("EDMEulerScheduler", ""),
        ("FlowMatchEulerDiscreteScheduler", ""),
        ("ddim", "karras"),  # ours cannot
    ],
)
def test_what_is_not_here_is_none(name, schedule):
    assert find_sampler(name, schedule) is None


@pytest.mark.parametrize("name", SCHEDULERS)
def test_our_own_names_are_found_in_every_spelling(name):
    for schedule_type in SCHEDULERS[name].schedule_types:
        both = find_scheduler(name, schedule_type).full_name
        if schedule_type != "Uniform":
            assert both == f"{name} {schedule_type}"
        for spelling in (both, both.lower(), both.upper(), both.lower().replace(" ", "_")):
            assert find_sampler(spelling) == (name, schedule_type)
            assert find_sampler(name, schedule_type) == (name, schedule_type)
        assert find_scheduler(both) == find_scheduler(name, schedule_type)
