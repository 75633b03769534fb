"""Whether pictures show what the words say, read by a classifier that was trained on true drawings only."""

import numpy as np
import pytest
from PIL import Image

from sd_app import InpaintRequest, Settings, Studio, Txt2ImgRequest
from sd_app.schedulers import SCHEDULER_NAMES


@pytest.fixture(scope="module")
def judge():
    from sd_app.tiny.judge import load_judge

    return load_judge()


@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
def test_a_prompt_for_a_red_circle_gives_a_red_circle_with_every_scheduler(studio, judge, scheduler):
    request = Txt2ImgRequest(prompt="a red circle on the beach", seed=1, num_images=2, scheduler=scheduler)
    seen = [(scene.subject, scene.color) for scene in judge.read(studio.txt2img(request, save=False).images)]
    assert seen == [("circle", "red")] * 2


def test_in_bfloat16_pictures_show_the_same(judge, tmp_path):
    studio = Studio(Settings(device="cpu", dtype="bfloat16", outputs_dir=tmp_path))
    request = Txt2ImgRequest(prompt="a blue house in the snow", seed=1, num_images=4)
    scenes = judge.read(studio.txt2img(request, save=False).images)
    assert sum((s.subject, s.color) == ("house", "blue") for s in scenes) >= 3, scenes


def test_other_words_give_other_pictures(studio, judge):
    request = Txt2ImgRequest(prompt="a blue house in the snow", seed=1, num_images=4)
    scenes = judge.read(studio.txt2img(request, save=False).images)
    assert sum((s.subject, s.color) == ("house", "blue") for s in scenes) >= 3, scenes


def test_words_past_the_first_75_tokens_still_count(studio, judge):
    """The second chunk alone says what to draw."""
    prompt = "picture, " * 37 + "BREAK a red circle on the beach"
    assert studio.tokens(prompt).num_chunks == 2
    scenes = judge.read(
        studio.txt2img(Txt2ImgRequest(prompt=prompt, seed=1, num_images=4), save=False).images
    )
    assert sum(scene.color == "red" for scene in scenes) >= 2, scenes


def test_a_cat_is_painted_where_the_house_stood_and_the_rest_is_untouched(studio, judge):
    request = Txt2ImgRequest(prompt="a red house on grass", seed=3)
    house = studio.txt2img(request, save=False).images[0]
    assert judge.read([house])[0].subject == "house"
    mask = Image.new("L", house.size)
    mask.paste(255, (16, 16, 112, 112))
    request = InpaintRequest(
        prompt="an orange cat in a meadow",
        seed=1,
        num_images=4,
        init_image=house,
        mask_image=mask,
        strength=1.0,
    )
    result = studio.inpaint(request, save=False)
    seen = [(scene.subject, scene.color) for scene in judge.read(result.images)]
    assert seen.count(("cat", "orange")) >= 3, seen
    kept = np.asarray(mask) == 0
    for image in result.images:
        assert np.array_equal(np.asarray(image)[kept], np.asarray(house)[kept])
