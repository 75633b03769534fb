"""Inpainting on random checkpoints and on the embedded model: what is kept stays, what is painted is new."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from sd_app import Cancelled, Img2ImgRequest, InpaintRequest, Settings, Step, Studio, Txt2ImgRequest
from sd_app.generation.inpaint import make_scene
from sd_app.generation.kept_area import KeptArea
from sd_app.metadata import from_infotext, list_outputs, read_infotext
from sd_app.requests import BLENDS, MASKED_CONTENTS
from sd_app.schedulers import SCHEDULER_NAMES


def noise_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def disc(width: int, height: int, radius: float = 14) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(((x - width / 2) ** 2 + (y - height / 2) ** 2 < radius**2) * np.uint8(255))


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.size == second.size and first.tobytes() == second.tobytes()


PICTURE, MASK = noise_picture(64, 72), disc(64, 72)
REQUEST = InpaintRequest(prompt="a", seed=7, num_inference_steps=2, init_image=PICTURE, mask_image=MASK)


@pytest.fixture(scope="module")
def quick_studio(random_models, tmp_path_factory) -> Studio:
    """One studio over the random checkpoints for many small jobs."""
    outputs_dir = tmp_path_factory.mktemp("outputs")
    return Studio(Settings(models_dir=random_models, outputs_dir=outputs_dir, model="model-a", batch_size=2))


@st.composite
def requests(draw) -> InpaintRequest:
    """Draw small pictures of any size with masks of any kind."""
    width, height = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    mask = np.zeros((height, width), np.uint8)
    for _ in range(draw(st.integers(1, 3))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        bottom, right = draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width))
        mask[top:bottom, left:right] = draw(st.sampled_from([255, 255, 200, 40]))
    return InpaintRequest(
        prompt="a",
        seed=draw(st.integers(0, 99)),
        num_inference_steps=1,
        strength=1.0,
        init_image=noise_picture(width, height, draw(st.integers(0, 99))),
        mask_image=Image.fromarray(mask),
        only_masked=draw(st.booleans()),
        padding=draw(st.integers(0, 40)),
        invert_mask=draw(st.booleans()),
        soft_mask=draw(st.booleans()),
        masked_content=draw(st.sampled_from(MASKED_CONTENTS)),
        resize_mode=draw(st.sampled_from(["pad", "stretch"])),
        outpaint=draw(st.sampled_from([(0, 0, 0, 0), (0, 0, 0, 0), (5, 0, 16, 3)])),
    )


def test_outside_any_mask_every_byte_is_the_inputs_and_inside_the_raw_pictures(quick_studio):
    @given(requests())
    @example(replace(REQUEST, mask_image=Image.new("L", PICTURE.size)))
    @settings(max_examples=25, deadline=None)
    def holds(request: InpaintRequest) -> None:
        result = quick_studio.inpaint(request, save=False)
        scene = make_scene(result.request)
        assert isinstance(request.init_image, Image.Image)
        left, top, _, _ = request.outpaint
        box = (left, top, left + request.init_image.width, top + request.init_image.height)
        assert same(scene.canvas.crop(box), request.init_image)
        image = np.asarray(result.images[0])
        assert image.shape == np.asarray(scene.canvas).shape
        kept = ~scene.painted
        assert np.array_equal(image[kept], np.asarray(scene.canvas)[kept])
        if not result.drifts:
            assert kept.all()
            return
        raw = np.asarray(result.raw_images[0])
        assert np.array_equal(image[scene.painted], raw[scene.painted])
        m = scene.painted[..., None]
        assert np.array_equal(image, np.asarray(scene.canvas) * ~m + raw * m)
        assert result.drift.composite.maximum == 0

    holds()


@pytest.mark.parametrize("blend", BLENDS)
def test_with_every_seam_option_kept_pixels_are_the_inputs(quick_studio, blend):
    for fields in ({"feather": 6}, {"color_match": True, "only_masked": True}):
        result = quick_studio.inpaint(replace(REQUEST, blend=blend, **fields), save=False)
        kept = np.asarray(MASK) == 0
        assert np.array_equal(np.asarray(result.images[0])[kept], np.asarray(PICTURE)[kept])
        assert result.drift.composite.changed_share == 0
        assert result.drift.raw.changed_share > 0.9


@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
@pytest.mark.parametrize("soft", [False, True])
def test_the_kept_latents_end_exactly_at_the_encoded_original(quick_studio, monkeypatch, scheduler, soft):
    ends = []
    put_back = KeptArea._put_back

    def watch(kept, pipe, start, latents, left):
        changed = put_back(kept, pipe, start, latents, left)
        if not left:
            ends.append((changed, start.original, kept.latent_mask > 0))
        return changed

    monkeypatch.setattr(KeptArea, "_put_back", watch)
    request = replace(REQUEST, scheduler=scheduler, soft_mask=soft, num_inference_steps=4, num_images=2)
    quick_studio.inpaint(request, save=False)
    ((latents, original, painted),) = ends
    assert torch.equal(latents[:, :, ~painted], original.expand_as(latents)[:, :, ~painted])
    assert (latents[:, :, painted] != original.expand_as(latents)[:, :, painted]).float().mean() > 0.99


def test_the_raw_pictures_kept_part_is_the_round_trip_far_from_the_mask(studio):
    """The raw picture drifts only by the VAE, up to what its decoder carries over the edge."""
    house = studio.txt2img(Txt2ImgRequest(prompt="a red house on grass", seed=3), save=False).images[0]
    mask = Image.new("L", house.size)
    mask.paste(255, (0, 0, 24, 24))
    request = InpaintRequest(
        prompt="a blue star", seed=1, init_image=house, mask_image=mask, num_inference_steps=4
    )
    result = studio.inpaint(request, save=False)
    raw, roundtrip = (np.asarray(p, int)[96:, 96:] for p in (result.raw_images[0], result.roundtrip_image))
    assert np.abs(raw - roundtrip).mean() < 1.5
    assert result.drift.vae_share > 0.5


def test_an_empty_mask_gives_the_input_back_with_a_notice_and_runs_nothing(random_studio):
    steps: list[Step] = []
    request = replace(REQUEST, mask_image=Image.new("L", PICTURE.size), num_images=3)
    result = random_studio.inpaint(request, steps.append)
    assert same(result.images[0], PICTURE)
    assert (len(result.images), len(result.seeds), len(result.infotexts)) == (1, 1, 1)
    assert "mask is empty" in result.notice
    assert not result.stopped
    assert (result.raw_images, result.roundtrip_image, result.drift, result.paths) == ((), None, None, ())
    assert steps == []
    assert random_studio.status().loaded == ()


def test_a_full_mask_gives_the_raw_picture_and_at_strength_1_txt2imgs(quick_studio):
    request = replace(
        REQUEST, mask_image=Image.new("1", PICTURE.size, 1), strength=1.0, feather=9, blend="poisson"
    )
    result = quick_studio.inpaint(request, save=False)
    assert same(result.images[0], result.raw_images[0])
    plain = Txt2ImgRequest(prompt="a", seed=7, num_inference_steps=2, width=64, height=72)
    assert same(result.images[0], quick_studio.txt2img(plain, save=False).images[0])
    assert (result.drift.raw.mean, result.drift.seam_before) == (0, 0)
    assert "mask" not in result.notice


def test_a_full_mask_is_img2img(quick_studio):
    request = replace(REQUEST, mask_image=Image.new("L", PICTURE.size, 255), num_inference_steps=4)
    plain = Img2ImgRequest(prompt="a", seed=7, num_inference_steps=4, init_image=PICTURE)
    images = quick_studio.img2img(plain, save=False).images
    assert same(quick_studio.inpaint(request, save=False).images[0], images[0])


def test_an_inverted_mask_is_the_mask_of_the_rest(quick_studio):
    inverted = Image.fromarray(255 - np.asarray(MASK))
    first = quick_studio.inpaint(replace(REQUEST, mask_image=inverted), save=False)
    second = quick_studio.inpaint(replace(REQUEST, invert_mask=True), save=False)
    assert same(first.images[0], second.images[0])


def test_three_files_under_one_number(random_studio):
    result = random_studio.inpaint(replace(REQUEST, num_images=2, feather=3))
    folder = result.paths[0].parent
    assert [path.name for path in result.paths] == ["00000-7.png", "00001-8.png"]
    assert len(list(folder.iterdir())) == 6
    for index, path in enumerate(result.paths):
        pictures = (result.images[index], result.raw_images[index], result.roundtrip_image)
        for ending, picture in zip(("", "-raw", "-roundtrip"), pictures, strict=True):
            with Image.open(path.with_stem(path.stem + ending)) as saved:
                assert same(saved, picture)
        text = read_infotext(path) or ""
        pictures_asked = {"init_image": PICTURE, "mask_image": MASK}
        assert from_infotext(text, InpaintRequest, **pictures_asked) == result.request_of(index)
    assert list_outputs(random_studio.settings.outputs_dir, 9) == list(result.paths[::-1])


def test_files_are_opened_and_strokes_on_nothing_are_a_mask(quick_studio, tmp_path):
    PICTURE.save(tmp_path / "photo.png")
    strokes = Image.new("RGBA", PICTURE.size, (255, 255, 255, 0))
    strokes.paste((255, 255, 255, 255), mask=MASK)
    strokes.save(tmp_path / "mask.png")
    request = replace(REQUEST, init_image=tmp_path / "photo.png", mask_image=str(tmp_path / "mask.png"))
    result = quick_studio.inpaint(request, save=False)
    assert result.request.mask_image == MASK
    assert same(result.images[0], quick_studio.inpaint(REQUEST, save=False).images[0])


def test_a_mask_file_of_another_size_is_refused(quick_studio, tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match=r"mask_image must have the size of the picture, 64x72, got 9x9"):
        quick_studio.inpaint(replace(REQUEST, mask_image=tmp_path / "mask.png"))


def test_masked_content_changes_the_start_and_at_strength_1_nothing(quick_studio):
    for strength, different in ((0.5, 3), (1.0, 1)):
        pictures = {
            quick_studio.inpaint(replace(REQUEST, masked_content=content, strength=strength), save=False)
            .images[0]
            .tobytes()
            for content in MASKED_CONTENTS
        }
        assert len(pictures) == different


def test_only_masked_works_at_the_models_size_and_leaves_the_rest_of_the_raw_picture(quick_studio):
    picture = noise_picture(200, 150)
    request = InpaintRequest(
        prompt="a",
        seed=1,
        num_inference_steps=2,
        init_image=picture,
        mask_image=disc(200, 150, 10),
        only_masked=True,
        padding=6,
    )
    result = quick_studio.inpaint(request, save=False)
    assert (result.request.width, result.request.height) == (64, 64)
    changed = np.argwhere((np.asarray(result.raw_images[0]) != np.asarray(picture)).any(axis=2))
    # 19 painted pixels and 6 on either side.
    assert (changed.min(axis=0) >= (75 - 16, 100 - 16)).all()
    assert (changed.max(axis=0) <= (75 + 16, 100 + 16)).all()
    assert result.images[0].size == (200, 150)


def test_outpainting_keeps_the_picture_and_adds_around_it(quick_studio):
    request = InpaintRequest(
        prompt="a", seed=1, num_inference_steps=2, init_image=PICTURE, outpaint=(8, 3, 0, 21), feather=4
    )
    result = quick_studio.inpaint(request, save=False)
    assert result.images[0].size == (72, 96)
    assert same(result.images[0].crop((8, 3, 72, 75)), PICTURE)
    inverted = quick_studio.inpaint(replace(request, invert_mask=True), save=False)
    assert same(result.images[0], inverted.images[0])


def test_outpainting_beyond_the_owners_limit_is_refused(quick_studio):
    request = InpaintRequest(prompt="a", init_image=PICTURE, outpaint=(8000, 8000, 0, 0))
    with pytest.raises(ValueError, match="outpaint must leave at most 4,194,304 pixels"):
        quick_studio.inpaint(request)


def test_more_white_changes_more(studio):
    house = studio.txt2img(Txt2ImgRequest(prompt="a red house on grass", seed=3), save=False).images[0]
    changes = []
    for grey in (0, 64, 128, 192, 255):
        mask = Image.new("L", house.size, grey)
        mask.paste(0, (0, 0, 8, 8))
        request = InpaintRequest(
            prompt="a blue fish in the sea",
            seed=1,
            init_image=house,
            mask_image=mask,
            soft_mask=True,
            strength=1.0,
            num_inference_steps=8,
        )
        image = studio.inpaint(request, save=False).images[0]
        changes.append(np.abs(np.asarray(image, int) - np.asarray(house, int)).mean())
    assert changes[0] == 0
    # Near white the content is new either way, and only what it is differs.
    assert 0 < changes[1] < changes[2] < min(changes[3:])
    assert changes[1] < changes[4] / 2


def test_a_white_soft_mask_is_a_hard_one(quick_studio):
    request = replace(REQUEST, num_inference_steps=4)
    hard = quick_studio.inpaint(request, save=False)
    assert same(hard.images[0], quick_studio.inpaint(replace(request, soft_mask=True), save=False).images[0])


def test_the_same_request_alone_or_in_a_batch_gives_the_same_picture(quick_studio):
    request = replace(REQUEST, num_images=3, masked_content="noise")
    batch = quick_studio.inpaint(request, save=False)
    alone = quick_studio.inpaint(batch.request_of(2), save=False)
    assert same(batch.images[2], alone.images[0])  # the third is alone in its batch of the studio's two
    assert len({image.tobytes() for image in batch.images}) == len(batch.drifts) == 3


def test_cancel_keeps_the_finished_pictures_with_their_reports(random_studio):
    def on_step(step: Step) -> None:
        if step.image_index == 2:
            raise Cancelled

    result = random_studio.inpaint(replace(REQUEST, num_images=4), on_step)
    assert (result.stopped, len(result.images), len(result.raw_images), len(result.drifts)) == (True, 2, 2, 2)


@pytest.fixture(scope="module")
def inpaint_model(inpaint_models, tmp_path_factory) -> Studio:
    return Studio(
        Settings(models_dir=inpaint_models, model="painter", outputs_dir=tmp_path_factory.mktemp("outputs"))
    )


def test_a_checkpoint_made_for_inpainting_inpaints(inpaint_model):
    for fields in ({"strength": 1.0}, {"only_masked": True, "masked_content": "fill"}):
        request = replace(REQUEST, num_images=2, **fields)
        result = inpaint_model.inpaint(request, save=False)
        kept = np.asarray(MASK) == 0
        assert np.array_equal(np.asarray(result.images[0])[kept], np.asarray(PICTURE)[kept])
        assert result.drift.raw.mean > 0
        assert not same(result.images[0], result.images[1])
        again = inpaint_model.inpaint(result.request, save=False)
        assert same(again.images[1], result.images[1])


def test_a_checkpoint_made_for_inpainting_does_not_see_what_the_mask_covers(inpaint_model):
    covered = PICTURE.copy()
    covered.paste("red", mask=MASK)
    first, second = (
        inpaint_model.inpaint(replace(REQUEST, init_image=picture, strength=1.0), save=False)
        for picture in (PICTURE, covered)
    )
    assert same(first.images[0], second.images[0])
    elsewhere = inpaint_model.inpaint(
        replace(REQUEST, init_image=Image.new("RGB", PICTURE.size), strength=1.0), save=False
    )
    painted = np.asarray(MASK) > 0
    assert not np.array_equal(np.asarray(first.images[0])[painted], np.asarray(elsewhere.images[0])[painted])


def test_a_checkpoint_made_for_inpainting_says_what_it_cannot(inpaint_model):
    with pytest.raises(ValueError, match="painter only inpaints"):
        inpaint_model.txt2img(Txt2ImgRequest(prompt="a"))
    with pytest.raises(ValueError, match="painter only inpaints"):
        inpaint_model.img2img(Img2ImgRequest(prompt="a", init_image=PICTURE))
    with pytest.raises(ValueError, match="soft_mask must be False with painter"):
        inpaint_model.inpaint(replace(REQUEST, soft_mask=True))
