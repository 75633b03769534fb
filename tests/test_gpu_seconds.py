"""How long a Space's GPU is asked for: the estimate of a job, and what it learns from earlier ones."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sd_app import Img2ImgRequest, PlaneRequest, Step, Txt2ImgRequest, WalkRequest
from sd_app.checkpoints.model_info import ModelInfo
from sd_app.ui.shared.gpu_seconds import CAP, FLOOR, MARGIN, GpuSeconds, booking, work_of

SD1 = ModelInfo(
    name="sd", title="sd", kind="folder", path=Path(), family="sd1", native_size=512, size_bytes=2 * 10**9
)
SDXL = replace(SD1, name="xl", family="sdxl", native_size=1024, size_bytes=7 * 10**9)
ASKED = Txt2ImgRequest(prompt="a cat")


def estimate(request: Txt2ImgRequest, model: ModelInfo = SD1) -> float:
    return GpuSeconds().making(request, model)


@pytest.mark.parametrize(
    "more",
    [
        {"num_images": 2},
        {"num_inference_steps": 26},
        {"width": 520},
        {"height": 520},
        {"scheduler": "Heun"},
        {"scheduler": "DPM2 a"},
        {"scheduler": "DPM++ SDE"},
        {"prompt": "a cat AND a dog"},
    ],
)
def test_more_to_do_takes_longer(more: dict[str, object]) -> None:
    assert estimate(replace(ASKED, **more)) > estimate(ASKED)  # type: ignore[arg-type]


def test_a_larger_model_takes_longer_and_what_is_left_out_is_the_models_default() -> None:
    assert estimate(ASKED, SDXL) > estimate(ASKED)
    given = replace(ASKED, width=512, height=512, num_inference_steps=25, scheduler="DPM++ 2M Karras")
    assert estimate(given) == estimate(ASKED)


def test_the_usual_pictures_are_booked_for_less_than_the_usual_minute() -> None:
    assert FLOOR <= booking(estimate(ASKED)) < 30
    assert booking(estimate(ASKED, SDXL)) < 60


def test_attention_makes_a_large_picture_dearer_than_its_pixels() -> None:
    sides = (512, 1024, 2048)
    small, middle, large = (work_of(replace(ASKED, width=s, height=s), SD1).total for s in sides)
    assert 4 < middle / small < large / middle


def test_only_the_steps_that_are_run_count() -> None:
    image = Image.new("RGB", (64, 64))
    half = Img2ImgRequest(prompt="a", init_image=image, width=512, height=512, strength=0.5)
    assert estimate(half) < estimate(replace(half, strength=1.0)) == pytest.approx(estimate(ASKED))
    walk = WalkRequest(a="cat", b="dog", init_image=image, strength=0.1, frames=2)
    rising = replace(walk, to_strength=1.0)
    assert estimate(walk) < estimate(rising) == estimate(WalkRequest(a="cat", b="dog", frames=2))


def test_frames_and_cells_count_as_pictures_and_looking_for_the_jump_adds_some() -> None:
    picture = work_of(ASKED, SD1).total
    walk = WalkRequest(a="cat", b="dog", frames=9)
    assert work_of(walk, SD1).total == pytest.approx(9 * picture)
    assert work_of(replace(walk, bisect=True), SD1).total == pytest.approx(19 * picture)
    plane = PlaneRequest(a="cat", b="dog", direction="red", rows=3, columns=4)
    assert work_of(plane, SD1).total == pytest.approx(12 * picture)


def test_a_booking_has_a_floor_a_margin_and_a_cap_over_which_a_job_is_refused_in_words() -> None:
    assert booking(0.1) == FLOOR
    assert booking(40.0) == 40 * MARGIN
    assert booking(CAP) == CAP
    with pytest.raises(ValueError, match=rf"about {CAP + 1} seconds.*{CAP} at most \(ask for fewer"):
        booking(CAP + 0.5)


def last_step(seconds: float, steps: int = 25, images: int = 1) -> Step:
    return Step(
        step=steps,
        num_steps=steps,
        image_index=0,
        num_images=images,
        seconds=seconds,
        batch_images=images,
        batch_seconds=seconds,
    )


def test_it_learns_from_jobs_that_were_measured_and_the_slowest_of_the_latest_counts() -> None:
    seconds = GpuSeconds()
    before = seconds.making(ASKED, SD1)
    for took in (8.0, 4.0, 4.0, 4.0, 4.0):
        seconds.made(ASKED, SD1, last_step(took), took + 2)
    slow = seconds.making(ASKED, SD1)
    assert slow > before
    assert slow >= 8.0 + 2  # the same job again is expected to take what the slowest took
    seconds.made(ASKED, SD1, last_step(4.0), 6.0)
    assert 6.0 <= seconds.making(ASKED, SD1) < slow
    assert seconds.making(ASKED, SDXL) == estimate(ASKED, SDXL)  # another model


def test_a_hiccup_or_a_picture_of_a_few_pixels_does_not_refuse_what_follows() -> None:
    seconds = GpuSeconds()
    tiny = replace(ASKED, width=64, height=64, num_inference_steps=1)
    seconds.made(tiny, SD1, last_step(3.0, steps=1), 3.0)
    assert booking(seconds.making(ASKED, SD1)) <= CAP
    seconds.made(ASKED, SD1, last_step(1e-6), 1e-6)
    assert booking(seconds.making(replace(ASKED, num_images=4), SD1)) > FLOOR


def test_a_job_that_told_no_step_teaches_nothing() -> None:
    seconds = GpuSeconds()
    seconds.made(ASKED, SD1, None, 100.0)
    seconds.made(ASKED, SD1, replace(last_step(50.0), step=0), 100.0)
    assert seconds.making(ASKED, SD1) == estimate(ASKED)


def test_other_jobs_are_told_apart_by_their_kind() -> None:
    seconds = GpuSeconds()
    usual = seconds.other("interrogate", "best")
    seconds.took("best", 4.0)
    assert 4.0 < seconds.other("interrogate", "best") < usual
    assert seconds.other("interrogate", "deep") == usual > seconds.other("match", "match")
