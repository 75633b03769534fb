"""Saving behind the next batch: nothing is told, returned or lost otherwise than before."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sd_app import Cancelled, InpaintRequest, Step, Txt2ImgRequest
from sd_app.generation import job as job_module
from sd_app.generation.saving import Saver
from sd_app.metadata import save_image
from tests.limits import PATIENCE

REQUEST = Txt2ImgRequest(prompt="a", seed=1, num_images=5, num_inference_steps=2)  # batches of 2, 2 and 1


@pytest.fixture
def saving(monkeypatch) -> Callable[[Callable[[int], None]], None]:
    """Return a function that has something else called before each picture is saved, with its seed."""

    def put_before(before: Callable[[int], None]) -> None:
        def save(image: Image.Image, request: Any, **known: Any) -> Path:
            before(known["seed"])
            return save_image(image, request, **known)

        monkeypatch.setattr(job_module, "save_image", save)

    return put_before


def savers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("saver")]


def test_a_batch_is_saved_while_the_next_one_is_denoised(random_studio, saving):
    next_batch, seen = threading.Event(), []

    def before(seed: int) -> None:
        if seed == 1:
            assert next_batch.wait(PATIENCE)  # saved in the job's own thread, this would never come

    def on_step(step: Step) -> None:
        seen.append((step.image_index, step.text, len(step.paths), len(step.images)))
        if step.text == "Denoising" and step.image_index == 2:
            next_batch.set()

    saving(before)
    result = random_studio.txt2img(REQUEST, on_step)
    assert next(row for row in seen if row[0] == 2 and row[1] == "Denoising") == (2, "Denoising", 0, 0)
    assert seen[-1] == (5, "Finished", 5, 5)
    assert [path.name for path in result.paths] == [f"0000{k}-{k + 1}.png" for k in range(5)]
    assert savers() == []


def test_a_step_lists_only_files_that_are_there_with_their_pictures(random_studio):
    def on_step(step: Step) -> None:
        assert len(step.paths) == len(step.images)
        for path, image in zip(step.paths, step.images, strict=True):
            with Image.open(path) as saved:
                assert saved.tobytes() == image.tobytes()

    result = random_studio.txt2img(REQUEST, on_step)
    for path, image in zip(result.paths, result.images, strict=True):
        with Image.open(path) as saved:
            assert saved.tobytes() == image.tobytes()


def test_without_saving_a_step_has_the_pictures_at_once(random_studio):
    steps: list[Step] = []
    random_studio.txt2img(REQUEST, steps.append, save=False)
    assert [len(step.images) for step in steps if step.text == "Finished"] == [2, 4, 5]


def test_the_last_batch_is_saved_without_a_thread(random_studio, saving):
    threads: list[str] = []
    saving(lambda _: threads.append(threading.current_thread().name))
    random_studio.txt2img(replace(REQUEST, num_images=2))
    assert set(threads) == {threading.current_thread().name}
    threads.clear()
    random_studio.txt2img(replace(REQUEST, num_images=3))
    assert [name.startswith("saver") for name in threads] == [True, True, False]


def test_a_stop_while_a_batch_is_being_saved_keeps_it(random_studio, saving):
    stopping = threading.Event()

    def before(_: int) -> None:
        assert stopping.wait(PATIENCE)

    def on_step(step: Step) -> None:
        if step.image_index == 2 and step.text == "Denoising":
            stopping.set()
            raise Cancelled

    saving(before)
    result = random_studio.txt2img(REQUEST, on_step)
    assert (result.stopped, len(result.images), len(result.paths)) == (True, 2, 2)
    assert all(path.is_file() for path in result.paths)


def test_an_error_in_a_later_batch_loses_no_finished_picture(random_studio):
    def on_step(step: Step) -> None:
        if step.image_index == 2 and step.text == "Denoising":
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        random_studio.txt2img(REQUEST, on_step)
    assert len(list(random_studio.settings.outputs_dir.rglob("*.png"))) == 2


@pytest.mark.parametrize(("bad_seed", "saved"), [(1, [2]), (2, [1]), (3, [1, 2, 4]), (5, [1, 2, 3, 4])])
def test_a_picture_that_cannot_be_saved_ends_the_job_in_words_and_loses_no_other(
    random_studio, saving, bad_seed, saved
):
    def before(seed: int) -> None:
        if seed == bad_seed:
            raise OSError("pictures cannot be saved in /outputs: no space left")

    saving(before)
    steps: list[Step] = []
    with pytest.raises(OSError, match="no space left"):
        random_studio.txt2img(REQUEST, steps.append)
    files = sorted(random_studio.settings.outputs_dir.rglob("*.png"))
    assert [int(path.stem.split("-")[1]) for path in files] == saved
    # The batch after the one that failed is the last to be begun.
    assert max(step.image_index for step in steps) <= bad_seed + 2
    saving(lambda _: None)
    assert len(random_studio.txt2img(REQUEST).paths) == 5
    assert savers() == []


def test_an_error_that_is_known_while_denoising_stops_it_within_a_step(random_studio, saving):
    begun, failed = threading.Event(), threading.Event()

    def before(_: int) -> None:
        assert begun.wait(PATIENCE)
        failed.set()
        raise OSError("gone")

    saving(before)
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if step.image_index == 2:
            begun.set()
            assert failed.wait(PATIENCE)
            time.sleep(0.05)  # the saver's thread has more to do than to raise

    with pytest.raises(OSError, match="gone"):
        random_studio.txt2img(replace(REQUEST, num_inference_steps=30), on_step)
    assert 0 < len([step for step in steps if step.image_index == 2]) < 10


def test_inpaintings_companions_lie_under_the_pictures_numbers(random_studio):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    mask = Image.new("L", picture.size)
    mask.paste(255, (8, 8, 40, 40))
    request = InpaintRequest(
        prompt="a", seed=1, num_images=5, num_inference_steps=2, init_image=picture, mask_image=mask
    )
    result = random_studio.inpaint(request)
    assert [path.name for path in result.paths] == [f"0000{k}-{k + 1}.png" for k in range(5)]
    for index, path in enumerate(result.paths):
        with Image.open(path.with_stem(f"{path.stem}-raw")) as saved:
            assert saved.tobytes() == result.raw_images[index].tobytes()


def test_a_saver_keeps_order_and_reports_the_first_error():
    written: list[int] = []

    def write(number: int) -> Path:
        if number in (2, 3):
            raise OSError(f"number {number}")
        written.append(number)
        return Path(str(number))

    with pytest.raises(OSError, match="number 2"), Saver() as saver:  # noqa: PT012
        for number in range(5):
            saver.save(lambda number=number: write(number), behind=True)  # type: ignore[misc]
    assert written == [0, 1, 4]
    assert [path.name for path in saver.paths] == ["0", "1", "4"]
