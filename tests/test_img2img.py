"""img2img on the embedded model and on random checkpoints: identities first."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sd_app import Cancelled, Img2ImgRequest, Step, Txt2ImgRequest
from sd_app.generation import resolve
from sd_app.generation.starts import noised_start
from sd_app.generation.vae import encode_image
from sd_app.metadata import from_infotext, read_infotext
from sd_app.schedulers import SCHEDULER_NAMES
from sd_app.weights.caches import forget


def noise_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.size == second.size and first.tobytes() == second.tobytes()


def distance(first: Image.Image, second: Image.Image) -> float:
    return float(np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16)).mean())


PICTURE = noise_picture(64, 64)
REQUEST = Img2ImgRequest(prompt="a red cat", seed=7, num_inference_steps=4, init_image=PICTURE)


@pytest.fixture(scope="module")
def house(studio):
    request = Txt2ImgRequest(prompt="a red house on grass", seed=3, num_inference_steps=10)
    return studio.txt2img(request, save=False).images[0]


@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
def test_strength_1_ignores_the_picture_and_is_txt2img(random_studio, scheduler):
    fields = {"prompt": "a", "seed": 5, "scheduler": scheduler, "width": 64, "height": 72, "num_images": 2}
    expected = random_studio.txt2img(Txt2ImgRequest(**fields), save=False).images
    for init_image in (noise_picture(40, 90), Image.new("RGB", (64, 72), "blue")):
        request = Img2ImgRequest(**fields, init_image=init_image, strength=1.0)
        assert all(map(same, random_studio.img2img(request, save=False).images, expected))


def test_the_same_request_gives_the_same_bytes_alone_and_as_part_of_a_batch(random_studio):
    first = random_studio.img2img(replace(REQUEST, num_images=2), save=False)
    again = random_studio.img2img(first.request, save=False)
    assert all(map(same, first.images, again.images))
    alone = random_studio.img2img(first.request_of(1), save=False)
    assert distance(alone.images[0], first.images[1]) < 0.1
    assert same(alone.start_images[0], first.start_images[0])


@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
def test_the_start_is_the_encoded_picture_plus_the_noise_of_txt2img(random_studio, scheduler):
    manager = random_studio._ready_manager()
    request = resolve(
        replace(REQUEST, scheduler=scheduler, strength=0.5), random_studio.models()[0], random_studio.settings
    )
    with manager.pipeline("model-a", scheduler) as pipe:
        x0 = encode_image(pipe, PICTURE)
        start = noised_start(pipe, request, x0, [torch.Generator().manual_seed(7)])
        latents, noise, timesteps = start.latents, start.noise, start.timesteps
        signal = latents - noise * (latents * noise).sum() / (noise * noise).sum()
    assert torch.equal(noise, torch.randn(noise.shape, generator=torch.Generator().manual_seed(7)))
    assert request.steps_run == 2
    assert len(timesteps) in (2, 3)
    # What is not noise points where the encoded picture does.
    flat = x0 - noise * (x0 * noise).sum() / (noise * noise).sum()
    cosine = torch.nn.functional.cosine_similarity(signal.flatten(), flat.flatten(), dim=0)
    assert cosine > 0.999


def test_two_strengths_have_the_same_noise_and_the_same_encoded_picture(random_studio):
    low, high = (random_studio.img2img(replace(REQUEST, strength=s), save=False) for s in (0.5, 0.75))
    assert same(low.start_images[0], high.start_images[0])
    assert not same(low.images[0], high.images[0])
    assert low.noised_start.size == high.noised_start.size == (64, 64)


def test_the_start_shown_is_the_picture_encoded_and_decoded(studio, house):
    request = Img2ImgRequest(prompt="a", init_image=house, strength=0.1, num_inference_steps=10, seed=1)
    result = studio.img2img(request, save=False)
    (start,) = result.start_images
    assert 0 < distance(start, house) < 12
    assert result.request.steps_run == 1
    assert distance(result.noised_start, house) > distance(start, house)


def test_more_strength_moves_further_from_the_picture(studio, house):
    """On average over four seeds: what one of them leaves standing is chance."""
    request = Img2ImgRequest(
        prompt="a blue fish in the sea", init_image=house, seed=1, num_images=4, num_inference_steps=10
    )
    distances = []
    for strength in (0.1, 0.4, 0.7, 1.0):
        images = studio.img2img(replace(request, strength=strength), save=False).images
        distances.append(np.mean([distance(image, house) for image in images]))
    assert distances == sorted(distances)


def test_progress_counts_the_steps_that_run(random_studio):
    steps: list[Step] = []
    request = replace(REQUEST, num_inference_steps=10, strength=0.69)
    result = random_studio.img2img(request, steps.append, save=False)
    assert result.request.steps_run == 6
    seen = [(s.step, s.num_steps) for s in steps if s.text == "Denoising"]
    assert seen == [(k, 6) for k in range(1, 7)]
    assert steps[-1].fraction == 1.0


def test_every_count_of_steps_is_run_exactly(random_studio):
    with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        x0, generators = torch.zeros(1, 4, 8, 8), [torch.Generator()]
        for steps in (1, 7, 49, 100):
            for run in range(1, steps + 1):
                request = replace(REQUEST, num_inference_steps=steps, strength=run / steps)
                assert request.steps_run == run
                timesteps = noised_start(pipe, request, x0, generators).timesteps
                assert timesteps.tolist() == pipe.scheduler.timesteps[-run:].tolist()


def test_a_preview_never_changes_the_picture(random_studio):
    previews = []
    shown = random_studio.img2img(REQUEST, lambda s: previews.append(s.preview), preview_every=1, save=False)
    assert any(previews)
    assert same(shown.images[0], random_studio.img2img(REQUEST, preview_every=0, save=False).images[0])


def test_cancel_returns_what_is_finished_and_the_next_job_is_right(random_studio):
    def on_step(step: Step) -> None:
        if step.image_index == 2 and step.step == 1:
            raise Cancelled

    request = replace(REQUEST, num_images=4)
    stopped = random_studio.img2img(request, on_step, save=False)
    assert (stopped.stopped, len(stopped.images)) == (True, 2)
    assert same(random_studio.img2img(request, save=False).images[0], stopped.images[0])


def test_txt2img_is_the_same_before_and_after_img2img(random_studio):
    request = Txt2ImgRequest(prompt="a", seed=1)
    before = random_studio.txt2img(request, save=False).images[0]
    random_studio.img2img(REQUEST, save=False)
    assert same(random_studio.txt2img(request, save=False).images[0], before)


def test_a_file_is_opened_and_the_saved_picture_holds_the_request(random_studio, tmp_path):
    path = tmp_path / "photo.png"
    PICTURE.save(path)
    result = random_studio.img2img(replace(REQUEST, init_image=path, strength=0.6, resize_mode="pad"))
    assert result.request.init_image == REQUEST.init_image
    text = read_infotext(result.paths[0]) or ""
    assert "Denoising strength: 0.6" in text
    assert from_infotext(text, Img2ImgRequest, init_image=REQUEST.init_image) == result.request_of(0)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(517, 389, (520, 392)), (64, 64, (64, 64)), (10, 2000, (64, 2000)), (3000, 1500, (1448, 720))],
)
def test_without_a_size_the_pictures_own_counts(random_studio, width, height, expected):
    settings = replace(random_studio.settings, max_pixels=1024 * 1024)
    request = Img2ImgRequest(prompt="a", init_image=Image.new("RGB", (width, height)))
    resolved = resolve(request, random_studio.models()[0], settings)
    assert (resolved.width, resolved.height) == expected


def test_a_strength_that_runs_no_step_of_the_models_own_number_is_refused(random_studio):
    request = Img2ImgRequest(prompt="a", init_image=noise_picture(64, 64), strength=0.2)
    with pytest.raises(ValueError, match=r"strength must be large enough to run a step, got 0\.2 of 4 steps"):
        random_studio.img2img(request)


def test_a_file_that_is_no_picture_is_refused(random_studio, tmp_path):
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.png is not a picture"):
        random_studio.img2img(replace(REQUEST, init_image=tmp_path / "text.png"))


def test_a_full_memory_while_encoding_is_tried_once_more(random_studio):
    expected = random_studio.img2img(REQUEST, save=False).images[0]
    left = [1]

    def fill(*_: object) -> None:
        if left.pop() if left else 0:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with random_studio._ready_manager().pipeline("model-a", "DDIM") as pipe:
        hook = pipe.vae.encoder.register_forward_pre_hook(fill)
        forget(pipe.vae)  # the picture is known by now
    result = random_studio.img2img(REQUEST, save=False)
    hook.remove()
    assert not left
    assert distance(result.images[0], expected) < 0.1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_strength_sweep_gives_40_pictures_ever_further_from_the_start(studio, house):
    request = Img2ImgRequest(
        prompt="an orange cat in the snow", init_image=house, seed=1, num_images=2, num_inference_steps=100
    )
    pairs = [
        studio.img2img(replace(request, strength=cents / 100), save=False).images for cents in range(60, 100)
    ]
    assert len({pair[0].tobytes() for pair in pairs}) == 40
    distances = [sum(distance(image, house) for image in pair) for pair in pairs]
    ranks = np.argsort(np.argsort(distances))
    assert np.corrcoef(ranks, np.arange(40))[0, 1] > 0.9  # Spearman
