"""A result after a reload: what the browser kept of it brings all its views back, and is not trusted."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sd_app import Img2ImgRequest, InpaintRequest, PlaneRequest, Studio, WalkRequest
from sd_app.queue import Job, Kind
from sd_app.requests import Txt2ImgResult
from sd_app.ui.interrogate.kept_match import keep_match, read_match
from sd_app.ui.interrogate.match_value import EMPTY as NO_MATCH
from sd_app.ui.interrogate.match_value import MatchValue
from sd_app.ui.shared import frames, views
from sd_app.ui.shared import result as drawing
from sd_app.ui.shared.files import PictureFiles
from sd_app.ui.shared.kept_numbers import add_numbers
from sd_app.ui.shared.kept_result import keep_result, read_result
from sd_app.ui.shared.kept_shape import Maybe, like
from sd_app.ui.shared.result_values import KeptResult, ResultValue

JOB = Job(owner="me", kind=Kind(name="job", make=lambda request, on_step: None), request=None)


@pytest.fixture
def files(random_studio: Studio) -> PictureFiles:
    return PictureFiles(random_studio.settings.outputs_dir, shared=True, copies=set())


def shown(result: Txt2ImgResult, files: PictureFiles) -> ResultValue:
    return drawing.finished(
        result,
        views.entries(result, files),
        "",
        start=views.start_of(result, files),
        frames=frames.frames_of(result, files),
    )


def reloaded(result: Txt2ImgResult, files: PictureFiles) -> tuple[ResultValue, ResultValue, KeptResult]:
    """Return a result as it is drawn, as it is drawn after a reload, and what the browser kept between."""
    drawn = shown(result, files)
    kept = json.loads(
        json.dumps(
            keep_result(
                result,
                drawn,
                files,
                Job(owner="me", kind=Kind(name="job", make=lambda *_: None), request=None),
            )
        )
    )
    again = read_result(kept, files, "")
    assert again
    return drawn, again, kept


def inpainted(studio: Studio, **fields: object) -> Txt2ImgResult:
    image = Image.radial_gradient("L").resize((64, 64)).convert("RGB")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 48, 48))
    asked: dict[str, Any] = {"prompt": "a cat", "num_inference_steps": 2, "seed": 1, **fields}
    return studio.inpaint(InpaintRequest(init_image=image, mask_image=mask, **asked))


def labels(value: ResultValue) -> list[list[str]]:
    return [[view["label"] for view in image.get("views", ())] for image in value["images"]]


def test_an_inpainting_comes_back_with_all_its_views_drift_and_start(
    random_studio: Studio, files: PictureFiles
) -> None:
    drawn, again, _ = reloaded(inpainted(random_studio, num_images=2), files)
    assert labels(again) == [["Raw", "VAE round trip", "Input", "Drift of raw", "Drift of result"]] * 2
    assert again["images"] == drawn["images"]  # the same files, before / after and the drift's table included
    assert len(again["start"]) == 2
    assert again["start"] == drawn["start"]
    assert (again["text"], again["notice"]) == (drawn["text"], drawn["notice"])


def test_a_picture_from_a_picture_comes_back_with_what_it_began_from(
    random_studio: Studio, files: PictureFiles
) -> None:
    image = Image.new("RGB", (64, 64), "teal")
    request = Img2ImgRequest(prompt="a cat", init_image=image, num_inference_steps=2, seed=1)
    drawn, again, _ = reloaded(random_studio.img2img(request), files)
    assert labels(again) == [["Input"]]
    assert (again["images"], again["start"]) == (drawn["images"], drawn["start"])


def test_a_walk_and_a_plane_come_back_with_film_distances_and_grid(
    random_studio: Studio, files: PictureFiles
) -> None:
    few: dict[str, Any] = {"a": "cat", "b": "dog", "prompt": "a {}", "num_inference_steps": 2, "seed": 1}
    drawn, again, _ = reloaded(random_studio.walk(WalkRequest(frames=3, bisect=True, **few)), files)
    assert again["frames"]
    assert again["frames"]["film"]
    assert again["frames"]["plot"]
    assert again["frames"]["jump"]
    assert (again["images"], again["frames"]) == (drawn["images"], drawn["frames"])
    drawn, again, _ = reloaded(
        random_studio.plane(PlaneRequest(direction="red", rows=2, columns=2, **few)), files
    )
    assert again["frames"]
    assert len(again["frames"]["rows"]) == len(again["frames"]["columns"]) == 2
    assert (again["images"], again["frames"]) == (drawn["images"], drawn["frames"])


def test_views_that_are_gone_leave_the_others(random_studio: Studio, files: PictureFiles) -> None:
    _, _, kept = reloaded(inpainted(random_studio), files)
    Path(kept["views"][0]["input"]).unlink()
    again = read_result(kept, files, "")
    assert again
    assert labels(again) == [["Raw", "VAE round trip", "Drift of raw", "Drift of result"]]


@pytest.mark.parametrize(
    "views_kept",
    [
        None, 3, "a", [], [None], [["input"]], [{"input": 7}], [{"input": None}], [{"input": "/etc/passwd"}],
        [{"input": "/etc/hosts\0.png"}], [{"input": {"path": "/etc/passwd"}}], [{"../../x": "/etc/passwd"}],
        [{"input": "a" * 10_000}], [{}, {}],
    ],
)  # fmt: skip
def test_kept_views_are_not_trusted(random_studio: Studio, files: PictureFiles, views_kept: object) -> None:
    _, _, kept = reloaded(inpainted(random_studio), files)
    again = read_result({**kept, "views": views_kept, "start": views_kept, "text": views_kept}, files, "")
    assert again
    assert labels(again) == [["Raw", "VAE round trip"]]
    assert again["start"] == []


def test_only_pictures_that_were_handed_out_are_shown_again(
    random_studio: Studio, files: PictureFiles, tmp_path: Path
) -> None:
    _, _, kept = reloaded(inpainted(random_studio), files)
    other = tmp_path / "other.png"  # a picture of the machine that the page never had
    Image.new("RGB", (8, 8)).save(other)
    (tmp_path / "notes.txt").write_text("mine")
    uploaded = files.file(tmp_path / "notes.txt")["path"]  # and a file that is none
    inside = Path(kept["views"][0]["input"])
    around = str(inside.parent / ".." / ".." / ".." / other.name)
    for path in (str(other), uploaded, around, str(inside.parent)):
        again = read_result({**kept, "views": [{"input": path}]}, files, "")
        assert again
        assert "Input" not in labels(again)[0]
    # Nor do pictures of the folder whose names were not signed for this browser.
    name = kept["pictures"][0][0]
    assert read_result({**kept, "pictures": [[name, "0" * 64]]}, files, "") is None


WALK = {"ends": ["a", "b"], "ts": [0.0, 1.0], "plot": None, "jump": None}
PLOT = {
    "curves": [[0.1, None]],
    "parted": [None],
    "kinds": ["smooth"],
    "largest": 0,
    "threshold": 0.1,
    "meanings": {"smooth": "so"},
}
JUMP = {
    "pictures": [0, 0],
    "places": [0.1, 0.2],
    "width": 0.1,
    "curve": [0.1],
    "parted": 1,
    "kind": "jump",
    "meaning": "so",
    "history": [[0.0, 1.0, None]],
}
GOOD: tuple[Any, ...] = (
    None,
    WALK,
    {**WALK, "plot": PLOT},
    {**WALK, "jump": JUMP},
    {"rows": ["a"], "columns": ["b"], "direction": "c"},
)
BAD: tuple[object, ...] = (
    7,
    {},
    {**WALK, "ends": ["a"]},
    {**WALK, "ends": None},
    {**WALK, "ts": "0"},
    {**WALK, "plot": {**PLOT, "curves": "abc"}},
    {**WALK, "plot": {**PLOT, "largest": 1}},
    {**WALK, "plot": {**PLOT, "largest": -1}},
    {**WALK, "plot": {**PLOT, "kinds": []}},
    {**WALK, "plot": {**PLOT, "meanings": {"smooth": {"path": "/etc/passwd"}}}},
    {**WALK, "jump": {**JUMP, "pictures": [0]}},
    {**WALK, "jump": {**JUMP, "history": [[0.0, None, 1.0]]}},
    {**WALK, "jump": {**JUMP, "history": [[1.0]]}},
    {"rows": [1], "columns": ["b"], "direction": "c"},
    {"rows": ["a"], "columns": {"path": "/etc/passwd"}, "direction": "c"},
)


@pytest.mark.parametrize(
    ("kept", "is_good"), [*((one, True) for one in GOOD), *((one, False) for one in BAD)]
)
def test_numbers_are_read_by_their_shape(files: PictureFiles, kept: object, is_good: bool) -> None:
    image = {"file": files.picture(Image.new("RGB", (8, 8))), "name": "a.png", "seed": 7, "infotext": ""}
    text = json.dumps({"format": 1, "images": [{"caption": "t = 0"}], "frames": kept})
    images, found = add_numbers([image], text)  # type: ignore[list-item]
    assert found == ((kept or {}) if is_good else {})
    assert ("caption" in images[0]) == is_good


def test_a_value_is_rebuilt_of_nothing_but_its_pattern() -> None:
    assert like({"a": "x", "b": 1, "path": "/"}, {"a": "", "b": 0.0}) == {"a": "x", "b": 1}
    assert like({"a": None}, {"a": Maybe(""), "b": Maybe("")}) == {"a": None, "b": None}
    assert like([[1.0, None]], [[Maybe(0.0)]]) == [[1.0, None]]
    for value, pattern in (
        ([1], [""]),
        ({}, {"a": ""}),
        (None, ""),
        ([""] * 1001, [""]),
        ("a" * 200_000, ""),
    ):
        with pytest.raises(ValueError, match="something else"):
            like(value, pattern)


# -- the matching matrix


@pytest.fixture
def matrix(files: PictureFiles) -> MatchValue:
    rows = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
    words = [["1 %", "2 %", ""], ["", "", ""]]
    pictures = [files.picture(Image.new("RGB", (8, 8), colour)) for colour in ("red", "blue")]
    return {
        **NO_MATCH,
        "phase": "done",
        "fraction": 1,
        "text": "6 pairs in 1 s",
        "pictures": [{"file": file, "name": "a.png"} for file in pictures],
        "texts": ["a", "b", "c"],
        "tables": {"cosines": rows, "by_text": rows, "by_image": rows},
        "ranks": words,
        "titles": words,
        "note": "Cosines.",
    }


def test_a_match_comes_back_as_it_was(matrix: MatchValue, files: PictureFiles) -> None:
    assert read_match(json.loads(json.dumps(keep_match(matrix))), files) == matrix


def test_a_kept_match_is_not_trusted(matrix: MatchValue, files: PictureFiles, tmp_path: Path) -> None:
    kept = json.loads(json.dumps(keep_match(matrix)))
    other = tmp_path / "other.png"
    Image.new("RGB", (8, 8)).save(other)
    tables = kept["tables"]
    bad: object
    for bad in (
        None, 7, "a", [], {},
        {**kept, "pictures": []},
        {**kept, "pictures": kept["pictures"][:1]},
        {**kept, "pictures": [[str(other), "a"], kept["pictures"][1]]},
        {**kept, "pictures": [["/etc/passwd", "a"], kept["pictures"][1]]},
        {**kept, "texts": ["a", "b"]},
        {**kept, "texts": [{"path": "/etc/passwd"}, "b", "c"]},
        {**kept, "tables": {**tables, "by_text": [[0.1]]}},
        {**kept, "tables": {**tables, "cosines": [["0.1", 0.2, 0.3]] * 2}},
        {**kept, "ranks": [["", ""]] * 2},
    ):  # fmt: skip
        assert read_match(bad, files) is None
