import pickle
import re
from dataclasses import replace

import pytest
from PIL import Image

from sd_app import (
    Drift,
    DriftReport,
    Img2ImgRequest,
    InpaintRequest,
    InpaintResult,
    PlaneRequest,
    Settings,
    Step,
    Token,
    TokenReport,
    Txt2ImgRequest,
    Txt2ImgResult,
    WalkRequest,
)
from sd_app.requests import check_limits, parse_seed

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", None),
        ("prompt", 3),
        ("prompt", "x" * 100_000),
        ("prompt", "a\0b"),
        ("prompt", "half \ud83d"),
        ("negative_prompt", None),
        ("negative_prompt", "x" * 20_001),
        ("model", ""),
        ("scheduler", ["DDIM"]),
        ("num_inference_steps", 0),
        ("num_inference_steps", 1001),
        ("num_inference_steps", True),
        ("num_inference_steps", 2.5),
        ("guidance_scale", NAN),
        ("guidance_scale", INF),
        ("guidance_scale", -0.1),
        ("guidance_scale", 30.1),
        ("guidance_scale", True),
        ("guidance_scale", "7"),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 2**70),
        pytest.param("seed", 10**10_000, id="seed-huge"),
        ("seed", True),
        ("width", 513),
        ("width", 56),
        ("height", 8200),
        ("height", 512.0),
        ("num_images", 0),
        ("num_images", None),
        ("num_images", 1001),
        ("clip_skip", 0),
        ("clip_skip", 13),
        ("clip_skip", False),
        ("guidance_end", 1.01),
        ("guidance_end", float("nan")),
        ("guidance_end", True),
        ("cache_interval", 0),
        ("cache_interval", 11),
        ("cache_interval", 2.0),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_field(field, value):
    with pytest.raises(ValueError, match=f"^{field} ") as caught:
        Txt2ImgRequest(**{"prompt": "a cat", field: value})
    assert len(str(caught.value)) < 200


def test_a_side_off_the_grid_names_its_neighbours():
    with pytest.raises(ValueError, match=r"width must be a multiple of 8, got 513 \(try 512 or 520\)"):
        Txt2ImgRequest(prompt="a", width=513)


def test_the_extremes_are_accepted():
    request = Txt2ImgRequest(
        prompt=" " + "x" * 20_000, seed=2**63 - 1000, num_images=1000, width=64, height=8192, guidance_scale=0
    )
    assert request.guidance_scale == 0.0
    assert isinstance(request.guidance_scale, float)


def test_the_last_seed_of_a_batch_must_be_in_range_too():
    Txt2ImgRequest(prompt="a", seed=2**63 - 2, num_images=2)
    with pytest.raises(ValueError, match="seed must be at most 9223372036854775806"):
        Txt2ImgRequest(prompt="a", seed=2**63 - 1, num_images=2)


def test_a_request_is_frozen_replaceable_and_picklable():
    request = Txt2ImgRequest(prompt="a", seed=1)
    with pytest.raises(AttributeError):
        request.seed = 2  # type: ignore[misc]
    assert replace(request, seed=2).seed == 2
    assert pickle.loads(pickle.dumps(request)) == request


def test_a_request_is_resolved_when_no_field_is_open():
    request = Txt2ImgRequest(prompt="a")
    assert not request.is_resolved
    full = replace(
        request,
        model="m",
        scheduler="DDIM",
        num_inference_steps=1,
        guidance_scale=0.0,
        seed=0,
        width=64,
        height=64,
    )
    assert full.is_resolved


@pytest.mark.parametrize("value", [None, "", "  ", -1, "-1", -1.0])
def test_no_seed_means_random(value):
    assert parse_seed(value) is None


@pytest.mark.parametrize(
    ("value", "seed"), [("7", 7), (7.0, 7), (0, 0), (" 12 ", 12), (2**32, 2**32), (str(2**63 - 1), 2**63 - 1)]
)
def test_a_seed_is_read_as_people_type_it(value, seed):
    assert parse_seed(value) == seed


@pytest.mark.parametrize("value", ["x", 1.5, NAN, True, -2, 2**63, "2" * 5000, [1]])
def test_a_seed_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match=r"^seed "):
        parse_seed(value)


def test_the_owners_limits_are_told_apart():
    settings = Settings(max_pixels=512 * 512, max_images=2)
    check_limits(Txt2ImgRequest(prompt="a", num_images=2, width=512, height=512), settings)
    check_limits(Txt2ImgRequest(prompt="a", width=8192), settings)  # not known yet
    with pytest.raises(ValueError, match="num_images must be at most 2"):
        check_limits(Txt2ImgRequest(prompt="a", num_images=3), settings)
    with pytest.raises(ValueError, match=r"got 520x512 \(try 512x512\)"):
        check_limits(Txt2ImgRequest(prompt="a", width=520, height=512), settings)


def test_a_step_tells_how_far_the_whole_job_is():
    step = Step(
        step=5, num_steps=10, image_index=4, num_images=8, seconds=9.0, batch_images=4, batch_seconds=2
    )
    assert step.fraction == 0.75
    assert step.steps_per_second == 2.5
    assert step.eta_seconds == 2.0


def test_an_early_step_does_not_guess():
    step = Step(step=0, num_steps=10, image_index=0, num_images=1, seconds=0.1, text="Loading x")
    assert (step.fraction, step.steps_per_second, step.eta_seconds) == (0.0, None, None)


def test_a_result_gives_the_request_of_one_picture():
    request = Txt2ImgRequest(prompt="a", seed=5, num_images=3)
    result = Txt2ImgResult(images=(), seeds=(5, 6, 7), request=request, seconds=1.0)
    assert result.request_of(2) == Txt2ImgRequest(prompt="a", seed=7)


def test_a_token_report_shows_the_words_of_each_chunk():
    parts = [("bo", False, 0), ("zu", True, 0), ("cat", True, 1)]
    tokens = tuple(Token(text=t, id=1, position=1, chunk=c, ends_word=e) for t, e, c in parts)
    report = TokenReport(tokens=tokens, num_chunks=2, count=3)
    assert [report.chunk_text(0), report.chunk_text(1)] == ["bozu", "cat"]


PICTURE = Image.new("RGB", (24, 16), "red")
MASK = Image.new("L", (24, 16), 255)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("init_image", None, "init_image must be a picture or the path of one, got None"),
        ("init_image", "", "init_image must be a picture"),
        ("init_image", Image.new("RGBA", (8, 8)), "init_image must have mode RGB, got RGBA"),
        ("strength", 1.01, "strength must be a number from 0 to 1"),
        ("strength", NAN, "strength must be a number from 0 to 1"),
        ("strength", True, "strength must be a number"),
        ("strength", 0.0, "strength must be large enough to run a step, got 0 of 10 steps"),
        ("strength", 0.09, "strength must be large enough to run a step"),
        ("resize_mode", "fill", "resize_mode must be one of crop, pad, stretch, got 'fill'"),
        ("resize_mode", ["pad"], "resize_mode must be one of"),
        ("resize_mode", "crop", "resize_mode must be pad or stretch for inpainting, got crop"),
        ("mask_image", None, "mask_image must be given"),
        ("mask_image", 3, "mask_image must be a picture or the path of one, got 3"),
        ("mask_image", Image.new("RGBA", (24, 16)), "mask_image must have mode 1 or L or RGB, got RGBA"),
        ("mask_image", Image.new("L", (16, 24)), "mask_image must have the size of the picture, 24x16"),
        ("feather", -1, "feather must be a whole number from 0 to 512"),
        ("feather", 2.5, "feather must be a whole number"),
        ("padding", 1025, "padding must be a whole number from 0 to 1024"),
        ("masked_content", "latent noise", "masked_content must be one of original, fill, noise"),
        ("blend", None, "blend must be one of none, poisson, pyramid"),
        ("only_masked", 1, "only_masked must be True or False, got 1"),
        ("soft_mask", "no", "soft_mask must be True or False"),
        ("outpaint", 8, "outpaint must be four numbers: left, top, right, bottom; got 8"),
        ("outpaint", (0, 0, 0), "outpaint must be four numbers"),
        ("outpaint", (0, -8, 0, 0), "outpaint top must be a whole number from 0"),
    ],
)
def test_a_bad_value_of_inpainting_is_refused_in_words(field, value, words):
    fields = {"prompt": "a", "init_image": PICTURE, "mask_image": MASK, "num_inference_steps": 10}
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        InpaintRequest(**{**fields, field: value})


def test_a_prompt_may_be_empty_and_is_kept_as_it_is():
    for prompt in ("", " \n"):
        assert Txt2ImgRequest(prompt=prompt).prompt == prompt
        assert Img2ImgRequest(prompt=prompt, init_image=PICTURE).prompt == prompt


def test_a_mask_without_a_picture_is_refused():
    with pytest.raises(ValueError, match="init_image must be a picture"):
        InpaintRequest(prompt="a", init_image=None, mask_image=MASK)  # type: ignore[arg-type]


def test_outpainting_needs_no_mask_and_paths_are_taken_unopened():
    request = InpaintRequest(prompt="a", init_image="photo.jpg", outpaint=[8, 0, 0, 0])  # type: ignore[arg-type]
    assert request.outpaint == (8, 0, 0, 0)
    assert InpaintRequest(prompt="a", init_image=PICTURE, mask_image="mask.png").mask_image == "mask.png"


def test_the_steps_run_are_those_a_person_calculates():
    def steps_run(steps: int | None, strength: float) -> int | None:
        return Img2ImgRequest(
            prompt="a", init_image=PICTURE, num_inference_steps=steps, strength=strength
        ).steps_run

    assert [steps_run(100, cents / 100) for cents in range(1, 101)] == list(range(1, 101))
    assert (steps_run(25, 0.75), steps_run(25, 1.0), steps_run(1, 1.0), steps_run(None, 0.5)) == (
        18,
        25,
        1,
        None,
    )


def test_a_request_with_pictures_is_equal_by_what_they_show():
    request = InpaintRequest(prompt="a", init_image=PICTURE, mask_image=MASK)
    assert replace(request, init_image=PICTURE.copy()) == request
    assert replace(request, init_image=Image.new("RGB", PICTURE.size)) != request
    assert pickle.loads(pickle.dumps(request)) == request


def test_a_drift_report_tells_what_the_vae_alone_explains():
    small, large = (Drift(mean=mean, maximum=9, changed_share=1.0) for mean in (1.5, 6.0))
    report = DriftReport(
        raw=large,
        composite=Drift(mean=0, maximum=0, changed_share=0),
        roundtrip=small,
        seam_input=1.0,
        seam_before=2.0,
        seam_after=1.5,
        raw_heat=PICTURE,
        composite_heat=PICTURE,
    )
    assert report.vae_share == 0.25
    assert replace(report, raw=small, roundtrip=large).vae_share == 1.0
    request = Txt2ImgRequest(prompt="a")
    result = InpaintResult(images=(), seeds=(), request=request, seconds=0, drifts=(report,))
    assert result.drift is report
    assert replace(result, drifts=()).drift is None


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (WalkRequest(a="cat", b="dog", frames=3), "frames"),
        (PlaneRequest(a="cat", b="dog", direction="red", rows=2, columns=2), "rows x columns"),
    ],
)
def test_of_a_visitor_the_owners_limit_counts_frames_too(request_: Txt2ImgRequest, field: str) -> None:
    check_limits(request_, Settings(max_images=4, mode="shared"))
    check_limits(request_, Settings(max_images=2, mode="local"))
    for mode in ("shared", "space"):
        with pytest.raises(ValueError, match=f"{field} must be at most 2 here"):
            check_limits(request_, Settings(max_images=2, mode=mode))


def test_a_jump_is_looked_for_between_two_places() -> None:
    with pytest.raises(ValueError, match="ts must hold two places"):
        WalkRequest(a="cat", b="dog", ts=(0.5, 0.5), bisect=True)
