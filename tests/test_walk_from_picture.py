"""Walks that start from a picture: between prompts, and between strengths."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sd_app import Img2ImgRequest, Txt2ImgRequest, WalkRequest
from sd_app.metadata import from_infotext, read_infotext
from sd_app.probes.observers import LoopStart, Observer, StepTaken
from tests.test_img2img import noise_picture

PICTURE = noise_picture(64, 72)
RUN: dict[str, Any] = {"seed": 3, "num_inference_steps": 8, "guidance_scale": 5.0, "scheduler": "DDIM"}
WALK = WalkRequest(
    a="cat",
    b="dog",
    prompt="a {} on the beach",
    frames=3,
    film="none",
    init_image=PICTURE,
    strength=0.5,
    **RUN,
)
ALONE = replace(WALK, b="cat", strength=0.25, to_strength=1.0, frames=4)


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.tobytes() == second.tobytes()


def plain(studio, prompt: str, strength: float) -> Image.Image:
    request = Img2ImgRequest(prompt=prompt, init_image=PICTURE, strength=strength, **RUN)
    return studio.img2img(request, save=False).images[0]


def test_both_ends_are_img2imgs_pictures_of_the_plain_prompts_to_the_byte(random_studio):
    walk = random_studio.walk(WALK, save=False)
    assert same(walk.images[0], plain(random_studio, "a cat on the beach", 0.5))
    assert same(walk.images[2], plain(random_studio, "a dog on the beach", 0.5))
    assert walk.images[0].size == (64, 72)
    assert walk.divergence.distances.shape == (2, 4)


def test_every_frame_is_saved_with_the_request_that_makes_it_again(random_studio):
    walk = random_studio.walk(ALONE)
    strengths = []
    for index, path in enumerate(walk.paths):
        request = from_infotext(read_infotext(path) or "", Img2ImgRequest, init_image=PICTURE)
        assert request == walk.request_of(index)
        strengths.append(request.strength)
        assert same(random_studio.img2img(request, save=False).images[0], walk.images[index])
    assert strengths == [0.25, 0.5, 0.75, 1.0]
    assert walk.plot_path is not None
    assert walk.strip_path is not None


def test_a_walk_over_strength_runs_each_frames_own_steps_on_one_noise(random_studio):
    class Starts(Observer):
        def __init__(self) -> None:
            self.starts: list[LoopStart] = []

        def before_loop(self, start: LoopStart) -> None:
            self.starts.append(start)

    seen = Starts()
    walk = random_studio.walk(ALONE, save=False, observers=[seen])
    assert sorted(start.num_steps for start in seen.starts) == [2, 4, 6, 8]
    assert len({start.noise.numpy().tobytes() for start in seen.starts}) == 1
    assert same(walk.images[3], random_studio.txt2img(from_nothing(walk), save=False).images[0])


def from_nothing(walk: Any) -> Txt2ImgRequest:
    """Return txt2img's request of the last frame: at strength 1 the picture does not count."""
    known = walk.request_of(3)
    names = set(Txt2ImgRequest.__dataclass_fields__)
    return Txt2ImgRequest(**{name: value for name, value in vars(known).items() if name in names})


def test_frames_of_unlike_strength_are_compared_at_the_steps_both_take(random_studio):
    class Predictions(Observer):
        def __init__(self) -> None:
            self.runs: list[list[np.ndarray]] = []

        def before_loop(self, start: LoopStart) -> None:
            self.runs.append([])

        def on_step(self, step: StepTaken) -> None:
            self.runs[-1].append(step.predicted_x0[0].numpy().copy())

    seen = Predictions()
    distances = random_studio.walk(ALONE, save=False, observers=[seen]).divergence.distances
    assert np.isnan(distances).sum(axis=1).tolist() == [4, 2, 0]  # of the 6 steps that the last pair shares
    runs = {len(run): run for run in seen.runs}
    for row, (few, more) in zip(distances, ((2, 4), (4, 6), (6, 8)), strict=True):
        pairs = zip(runs[few], runs[more][-few:], strict=True)
        expected = [np.sqrt(np.mean((left - right) ** 2)) for left, right in pairs]
        assert np.allclose(row[-few:], expected, rtol=1e-5)


def test_bisect_over_strength_ends_at_two_pictures_one_step_apart(random_studio):
    walk = replace(ALONE, frames=2, bisect=True, num_inference_steps=30, strength=0.1)
    result = random_studio.walk(walk, save=False)
    jump = result.jump
    steps = [round(30 * walk.strength_at(t) + 1e-9 - 0.5) for t in (jump.t_left, jump.t_right)]
    assert steps[1] - steps[0] == 1
    assert len(jump.history) <= 6  # 27 steps lie between, so five halvings do
    for t, picture in ((jump.t_left, jump.left), (jump.t_right, jump.right)):
        alone = random_studio.img2img(result.request.frame_at(t), save=False).images[0]
        assert same(alone, picture)
    lefts, rights = [entry[0] for entry in jump.history], [entry[1] for entry in jump.history]
    assert lefts == sorted(lefts)
    assert rights == sorted(rights, reverse=True)


def test_the_strength_of_both_ends_is_exact():
    walk = replace(ALONE, strength=0.2, to_strength=0.7)
    assert (walk.strength_at(0.0), walk.strength_at(1.0)) == (0.2, 0.7)
    assert walk.strength_at(0.5) == pytest.approx(0.45)
    assert replace(walk, to_strength=None).strength_at(0.5) == 0.2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"init_image": None, "strength": 0.75},
            "to_strength needs a picture to start from, got 1.0 without",
        ),
        ({"init_image": None}, "strength needs a picture to start from, got 0.25 without init_image"),
        (
            {"init_image": None, "strength": 0.75, "to_strength": None, "resize_mode": "pad"},
            "resize_mode needs a picture to start from, got pad without init_image",
        ),
        ({"strength": 0.01}, "strength must be large enough to run a step, got 0.01 of 8 steps"),
        ({"to_strength": 0.01}, "to_strength must be large enough to run a step, got 0.01 of 8 steps"),
        ({"to_strength": 1.5}, "to_strength must be a number from 0 to 1, got 1.5"),
        ({"init_image": 7}, "init_image must be a picture or the path of one, got 7"),
        ({"resize_mode": "tile"}, "resize_mode must be one of crop, pad, stretch, got 'tile'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(ALONE, **changes)


def test_a_walk_from_a_file_opens_it_once_and_says_what_is_wrong_with_it(random_studio, tmp_path):
    PICTURE.save(tmp_path / "start.png")
    walk = random_studio.walk(replace(WALK, init_image=tmp_path / "start.png"), save=False)
    assert same(walk.images[0], plain(random_studio, "a cat on the beach", 0.5))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png"):
        random_studio.walk(replace(WALK, init_image=tmp_path / "broken.png"))


def test_the_command_line_walks_over_strength(random_models, tmp_path, capsys):
    from sd_app.cli import main

    PICTURE.save(tmp_path / "start.png")
    words = ["walk", "cat", "cat", "--init-image", str(tmp_path / "start.png"), "--strength", "0.3"]
    words += ["--to-strength", "0.9", "--frames", "3", "--steps", "4", "--film", "none", "--seed", "1"]
    words += ["--bisect", "--output", str(tmp_path / "out.png"), "--model", "model-a"]
    words += ["--models-dir", str(random_models)]
    assert main(words) == 0
    assert {path.name for path in tmp_path.glob("out*.png")} >= {"out-0.png", "out-1.png", "out-2.png"}
    assert re.search(r"between t = \S+ and \S+, strength 0\.\d+ and 0\.\d+: ", capsys.readouterr().err)
