"""Blends, walks and planes: the same pictures as txt2img, what is measured, what is saved."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sd_app import (
    BlendRequest,
    Cancelled,
    Divergence,
    Img2ImgRequest,
    InpaintRequest,
    PlaneRequest,
    Step,
    Txt2ImgRequest,
    WalkRequest,
)
from sd_app.metadata import from_infotext, read_infotext
from sd_app.pictures.charts import HEAT_COLORS, divergence_plot, heat_map
from sd_app.pictures.films import film_bytes
from sd_app.probes.observers import Observer
from sd_app.probes.trajectories import Trajectories
from sd_app.requests import BRANCH_EARLY, DIFFER_AT_THE_END, PARTED, SMALL_CHANGE
from tests.bare import bare_pipeline

QUICK: dict[str, Any] = {"scheduler": "DDIM", "num_inference_steps": 4, "seed": 3}
WALK = WalkRequest(a="cat", b="dog", prompt="a {} on the beach", frames=5, film="none", **QUICK)


def pixels(image: Image.Image) -> NDArray[np.int16]:
    return np.asarray(image).astype(int)


def plain(studio, prompt: str, **fields) -> Image.Image:
    return studio.txt2img(Txt2ImgRequest(prompt=prompt, **QUICK | fields), save=False).images[0]


def test_a_blend_is_txt2img_of_its_prompt(studio):
    request = BlendRequest(expression="cat + 0.43*dog", prompt="a drawing of {}", **QUICK)
    result = studio.blend(request, save=False)
    assert result.request.prompt == "a drawing of {row: cat + 0.43*dog}"
    assert result.images[0].tobytes() == plain(studio, result.request.prompt).tobytes()
    assert result.encoding.embeds.shape == (77, 96)
    assert [word.text for word in result.near[0][:2]] == ["cat", "dog"]


def test_arithmetic_is_saved_and_reproduces_the_picture_in_every_mode(studio):
    slot = 'a {row: cat - 0.5*(dog + "orange cat")}'
    picture = plain(studio, "a red house")
    inputs: dict[str, Any] = {"init_image": picture, "strength": 1.0}
    for request in (
        Txt2ImgRequest(prompt=slot, negative_prompt="{red + 0.2*blue}", **QUICK),
        Img2ImgRequest(prompt=slot, **inputs, **QUICK),
        InpaintRequest(prompt=slot, mask_image=Image.new("L", picture.size, 255), **inputs, **QUICK),
    ):
        run = getattr(studio, type(request).__name__.removesuffix("Request").lower())
        made = run(request)
        pictures = {n: getattr(request, n) for n in ("init_image", "mask_image") if hasattr(request, n)}
        again = from_infotext(read_infotext(made.paths[0]) or "", type(request), **pictures)
        assert again == made.request_of(0)
        assert run(again, save=False).images[0].tobytes() == made.images[0].tobytes()
        other = run(replace(request, prompt="a cat"), save=False)
        assert other.images[0].tobytes() != made.images[0].tobytes()


@pytest.mark.parametrize("space", ["all", "input"])
@pytest.mark.parametrize("method", ["lerp", "slerp"])
def test_both_ends_of_a_walk_are_the_plain_prompts_pictures_byte_for_byte(studio, space, method):
    walk = studio.walk(replace(WALK, space=space, method=method), save=False)
    assert walk.images[0].tobytes() == plain(studio, "a cat on the beach").tobytes()
    assert walk.images[-1].tobytes() == plain(studio, "a dog on the beach").tobytes()


def test_frames_are_saved_with_the_request_that_makes_them_again(studio):
    walk = studio.walk(WALK)
    assert walk.ts == (0, 0.25, 0.5, 0.75, 1)
    assert walk.seeds == (3,) * 5
    for index, path in enumerate(walk.paths):
        request = from_infotext(read_infotext(path) or "")
        assert request == walk.request_of(index)
        again = studio.txt2img(request, save=False).images[0]
        # In a batch numbers are rounded in another order than alone.
        assert abs(pixels(again) - pixels(walk.images[index])).max() <= (0 if index in (0, 4) else 2)
    companions = (walk.strip_path, walk.sheet_path, walk.plot_path)
    assert [path.stem for path in companions if path] == [
        f"{walk.paths[-1].stem}-{name}" for name in ("strip", "sheet", "plot")
    ]
    assert Image.open(walk.strip_path or "").size == (5 * 128, 128)
    assert walk.film_path is None


def test_measuring_a_walk_changes_nothing(studio, monkeypatch):
    watched = studio.walk(WALK, save=False)
    monkeypatch.setattr(Trajectories, "on_step", lambda *_: None)
    monkeypatch.setattr(Trajectories, "distances", lambda *_: np.zeros(4))
    unwatched = studio.walk(WALK, save=False)
    assert [i.tobytes() for i in watched.images] == [i.tobytes() for i in unwatched.images]


def test_a_place_asked_for_twice_is_at_no_distance(studio):
    walk = studio.walk(replace(WALK, ts=(0, 0.5, 0.5, 1, 1)), save=False)
    assert len(walk.images) == len(walk.prompts) == 5
    assert walk.divergence.distances.shape == (4, 4)
    assert [row.any() for row in walk.divergence.distances] == [True, False, True, False]


def test_the_distance_is_the_root_mean_square_of_predicted_x0(studio):
    """At the last step DDIM's predicted x0 is the latent that is decoded."""
    ends: list[NDArray[np.int16]] = []

    class Listening(Observer):
        def after_decoding(self, latents, images):
            ends.append(latents.float().numpy().copy())

    walk = studio.walk(replace(WALK, ts=(0, 1)), save=False)
    for prompt in walk.prompts:
        studio.txt2img(WALK.picture_of(prompt), save=False, observers=[Listening()])
    expected = np.sqrt(((ends[0] - ends[1]) ** 2).mean())
    # The last step leads to the noise of training step 0, sqrt(1 - 0.00085) of the signal.
    assert walk.divergence.distances[0, -1] == pytest.approx(expected, rel=0.02)


def test_bisect_brackets_the_jump_to_a_1024th(studio):
    result = studio.walk(replace(WALK, frames=3, bisect=True))
    jump = result.jump
    assert len(result.images) == 3
    assert 0 < jump.width <= 1 / 1024
    widths = [right - left for left, right, _ in jump.history]
    assert widths == [0.5**k for k in range(1, 11)]
    for (left, right, _), (inner_left, inner_right, _) in zip(jump.history, jump.history[1:], strict=False):
        assert left <= inner_left < inner_right <= right
    assert jump.history[0][2] == pytest.approx(result.divergence.distances[:, -1].max())
    assert jump.distances.shape == (4,)
    assert jump.meaning
    for path, image, prompt in (
        (jump.left_path, jump.left, jump.left_prompt),
        (jump.right_path, jump.right, jump.right_prompt),
    ):
        assert Image.open(path).tobytes() == image.tobytes()
        assert plain(studio, prompt).tobytes() == image.tobytes()


def test_a_stopped_walk_keeps_its_frames(random_studio):
    def stop(step: Step) -> None:
        assert step.num_images == 5
        if len(step.images) >= 3:
            raise Cancelled

    result = random_studio.walk(replace(WALK, film="webp"), stop)
    assert result.stopped
    assert len(result.images) == len(result.paths) == len(result.ts) == 3
    assert result.divergence.distances.shape == (2, 4)
    assert result.film_path
    assert result.film_path.exists()
    stopped_at_once = random_studio.walk(WALK, _cancel)
    assert stopped_at_once.stopped
    assert not stopped_at_once.images


def test_a_stopped_bisect_keeps_the_narrowest_so_far(random_studio):
    def stop(step: Step) -> None:
        if len(step.images) >= 5:
            raise Cancelled

    result = random_studio.walk(replace(WALK, frames=3, bisect=True), stop, save=False)
    assert result.stopped
    assert result.jump.width in (0.25, 0.5)


def _cancel(step: Step) -> None:
    raise Cancelled


def test_guidance_of_one_and_second_order_schedulers_walk_too(random_studio):
    for fields in ({"guidance_scale": 1.0}, {"scheduler": "Heun"}, {"scheduler": "Euler a"}):
        walk = random_studio.walk(replace(WALK, **fields), save=False)
        assert walk.divergence.distances.shape == (4, 4)
        assert (walk.divergence.distances > 0).any()
        alone = random_studio.txt2img(walk.request_of(4), save=False).images[0]
        assert alone.tobytes() == walk.images[4].tobytes()


def test_a_plane_has_its_pictures_row_by_row(random_studio):
    asked: dict[str, Any] = {"rows": 2, "columns": 3, "space": "all", **QUICK}
    request = PlaneRequest(a="cat", b="kitten", direction="tabby", **asked)
    result = random_studio.plane(request)
    assert len(result.images) == len(result.paths) == 6
    assert from_infotext(read_infotext(result.paths[4]) or "") == result.request_of(4)
    assert "lerp(cat, kitten, 1.0) + 0.0*tabby" in result.prompts[4]
    middle = random_studio.txt2img(replace(result.request_of(4), prompt="kitten"), save=False).images[0]
    assert abs(pixels(middle) - pixels(result.images[4])).max() <= 2
    assert Image.open(result.sheet_path or "").size == (3 * 64, 2 * 64)


def frames_of_mp4(data: bytes) -> list[NDArray[np.uint8]]:
    with av.open(io.BytesIO(data), "r") as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert float(container.streams.video[0].average_rate or 0) == 5
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


@pytest.mark.parametrize("kind", ["mp4", "webp"])
def test_a_film_shows_each_picture_once_and_no_mixture(kind):
    colors = ["red", "blue", "blue", "white", "green"]
    images = [Image.new("RGB", (72, 64), color) for color in colors]
    data = film_bytes(images, fps=5, kind=kind)
    if kind == "mp4":
        assert data.index(b"moov") < data.index(b"mdat")  # a browser can begin at once
        frames = frames_of_mp4(data)
        assert len(frames) == 5
        for frame, image in zip(frames, images, strict=True):
            assert abs(frame.astype(int) - pixels(image)[0, 0]).max() <= 4
        return
    film: Any
    with Image.open(io.BytesIO(data)) as film:
        durations, shown = [], []
        for index in range(film.n_frames):
            film.seek(index)
            shown.append(film.convert("RGB").getpixel((3, 3)))
            durations.append(film.info["duration"])
        assert sum(durations) == 1000  # equal neighbours are one frame that lasts twice as long
        assert shown == [images[index].getpixel((0, 0)) for index in (0, 1, 3, 4)]


def test_the_heat_map_has_a_pixel_a_value_and_grows_from_white():
    picture = heat_map(np.array([[0.0, 33, -33, 0.5], [3, -3, np.nan, 0]]))
    assert picture.size == (4, 2)
    shown = pixels(picture)
    assert tuple(shown[0, 0]) == (255, 255, 255)
    assert tuple(shown[0, 1]) == HEAT_COLORS[-1]
    assert tuple(shown[0, 2]) == HEAT_COLORS[0]
    assert tuple(shown[1, 2]) == (0, 0, 0)
    assert shown[0, 3, 0] > shown[0, 3, 2] > 150  # a little red: small values are seen
    assert heat_map(np.ones((2, 3)), cell=4).size == (12, 8)
    assert heat_map(np.zeros((2, 3))).getcolors() == [(6, (255, 255, 255))]


def test_a_pair_is_named_by_when_it_parts_for_good():
    low, high = PARTED / 2, PARTED * 2
    distances = np.array([[low] * 4, [high, low, low, low], [low, high, high, high], [low, low, low, high]])
    divergence = Divergence(distances=distances)
    assert divergence.parted == (None, None, 2, 4)
    assert divergence.kinds == (SMALL_CHANGE, SMALL_CHANGE, BRANCH_EARLY, DIFFER_AT_THE_END)
    plot = divergence_plot(divergence, (0, 0.25, 0.5, 0.75, 1), width=600, height=300)
    assert plot.size == (600, 300)
    assert len(plot.getcolors(100_000) or []) > 20


@pytest.mark.parametrize(
    ("a", "b", "prompt", "attribute"),
    [
        ("circle", "square", "a big red {} on the beach", "subject"),
        ("cat", "dog", "a big orange {} in a meadow", "subject"),
        ("red", "blue", "a big {} circle on the beach", "color"),
    ],
)
def test_the_judge_sees_the_way_from_one_to_the_other(studio, a, b, prompt, attribute):
    from sd_app.tiny.judge import load_judge

    request = WalkRequest(
        a=a, b=b, prompt=prompt, frames=6, film="none", scheduler="DDIM", seed=3, num_inference_steps=12
    )
    walk = studio.walk(request, save=False)
    seen = [getattr(scene, attribute) for scene in load_judge().read(walk.images)]
    assert (seen[0], seen[-1]) == (a, b)
    assert seen == sorted(seen, key=seen.index), f"each is seen in one stretch: {seen}"


def test_the_array_is_the_pipelines_own_tensor(studio):
    with studio._ready_manager().pipeline("tiny-sd", "DDIM") as pipe:
        expected, empty = (
            part.detach()
            for part in bare_pipeline(pipe).encode_prompt("a red cat on the beach", "cpu", 1, True, "")
        )
    encoding = studio.encode("a red cat on the beach")
    assert np.array_equal(encoding.embeds, expected[0].numpy())
    assert np.array_equal(encoding.minus_empty, (expected - empty)[0].numpy())
    assert encoding.norms[3] == pytest.approx(expected[0, 3].norm().item(), rel=1e-5)
    channel, value = encoding.largest_channels(3)[0]
    assert abs(value) == expected[0, 3].abs().max().item() == abs(encoding.embeds[3, channel])


def test_rows_before_the_changed_word_are_identical(studio):
    red, blue = studio.encode("a big red cat"), studio.encode("a big blue cat")
    assert red.rows_unlike(blue) == tuple(range(3, 77))
    assert red.rows_unlike(red) == ()
    longer = studio.encode("a big red cat BREAK a dog")
    assert red.rows_unlike(longer) == tuple(range(77, 154))


def test_the_table_shows_every_row_and_what_one_window_would_cut(studio):
    table = studio.token_table("a bozuman (cat:1.5)")
    assert [(row.text, row.id, row.kind) for row in table.rows[:7]] == [
        ("", 49406, "start"),
        ("a", 320, "text"),
        ("bo", 647, "text"),
        ("zu", 4091, "text"),
        ("man", 786, "text"),
        ("cat", 2368, "text"),
        ("", 49407, "end"),
    ]
    assert [row.position for row in table.rows] == list(range(77))
    assert {(row.id, row.kind) for row in table.rows[7:]} == {(49407, "padding")}
    assert (table.rows[5].weight, table.count, table.kept) == (1.5, 5, 5)
    many = studio.token_table("cat " * 90)
    assert (many.count, many.kept, many.num_chunks, len(many.rows)) == (90, 75, 2, 154)
    assert [row.chunk for row in many.rows if row.cut] == [1] * 15


def test_a_row_is_looked_up(studio):
    report = studio.look_up("cat", 1)
    assert report.token.text == "cat"
    assert report.near[0].text == "cat"
    assert len(report.channels) == 8
    with pytest.raises(ValueError, match="row must be a whole number from 0 to 76"):
        studio.look_up("cat", 77)


def test_the_command_line_walks_and_shows_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from sd_app import cli

    flags = ["--steps", "2", "--frames", "3", "--seed", "1", "--film", "webp", "-o", str(tmp_path / "w.png")]
    assert cli.main(["walk", "cat", "dog", "--prompt", "a {}", *flags]) == 0
    names = ("w-0.png", "w-1.png", "w-2.png", "w-film.webp", "w-plot.png", "w-sheet.png", "w-strip.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert sorted(capsys.readouterr().out.split()) == sorted(str(tmp_path / name) for name in names)
    heat = tmp_path / "heat.png"
    words = ["--other", "a bozuman dog", "--row", "2", "-o", str(heat)]
    assert cli.main(["tokens", "a bozuman cat", *words]) == 0
    out = capsys.readouterr().out
    assert " 2    647       1  bo|\n" in out
    assert "6-76" not in out.split("rows that differ")[0]
    assert "7-76  49407       1  [padding]" in out
    assert "rows that differ: 5-76" in out
    assert Image.open(heat).size == (96 * 8, 77 * 8)
    assert cli.main(["blend", "cat +"]) == 2
    error = capsys.readouterr().err.split("\n")
    assert error[0].startswith("python -m sd_app blend: error: expression must have words")
    assert error[2].index("^") == error[1].index("+") + 1


def test_reading_the_vocabulary_tells_how_far_it_is_and_can_be_stopped(random_studio) -> None:
    steps: list[Step] = []

    def stop_at_the_second(step: Step) -> None:
        steps.append(step)
        if len(steps) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        random_studio.look_up("cat", 1, on_step=stop_at_the_second)
    assert [step.step for step in steps] == sorted(step.step for step in steps)
    assert {(step.image_index, step.num_images) for step in steps} == {(0, 1)}
    assert steps[0].num_steps > 10_000
    assert random_studio.look_up("cat", 1).near[0].text == "cat"
