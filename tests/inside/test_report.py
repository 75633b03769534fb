"""All panels of a picture as files: from Python, on the command line, over HTTP; and fewer steps."""

import csv
import io
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sd_app import Cancelled, InsideRequest, Studio, Txt2ImgRequest, cli
from sd_app.inside import fewer_steps, report
from sd_app.inside.fewer_steps import SAME_LEVEL, make_fewer_steps, with_fewer_steps
from sd_app.inside.look import Look, PictureAlone
from sd_app.inside.panel import APPROXIMATE, EXACT, MEASURED, Panel, PanelFiles
from sd_app.inside.panels import PANELS
from sd_app.probes.recording import Recording
from sd_app.schedulers import SCHEDULER_NAMES
from tests.test_denoise import PICTURE
from tests.test_observers import KINDS as REQUESTS
from tests.test_observers import RUN, open_studio

KINDS: dict[str, Any] = dict(REQUESTS)
ALONE = Txt2ImgRequest(prompt="a red cat", negative_prompt="blue", **RUN)


@pytest.fixture
def studio(random_models, tmp_path) -> Studio:
    return open_studio(random_models, "model-a", tmp_path, cache_dir=tmp_path / "cache")


def look_at(studio: Studio, request: Txt2ImgRequest) -> Look:
    return Look(studio._ready_manager(), studio.record(request, keep=False))


# -- every panel says what it is


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_panel_says_what_is_seen_and_what_is_not(panel):
    assert panel.name.isalpha()
    assert panel.name.islower()
    assert panel.seen.count(".") >= 2
    assert panel.seen.endswith(".")
    assert panel.not_shown.endswith(".")
    assert panel.not_shown.count(".") == 1
    assert panel.formula
    assert panel.exactness in (EXACT, MEASURED, APPROXIMATE)
    for text in (panel.title, panel.seen, panel.not_shown):
        assert text[0].isupper()
        assert "<" not in text


def test_no_two_panels_have_one_name():
    assert len({panel.name for panel in PANELS}) == len(PANELS)


# -- the files


def test_all_panels_of_a_picture_come_as_files_that_can_be_read(studio):
    path = studio.txt2img(ALONE).paths[0]
    result = studio.inside(InsideRequest(picture=path))
    assert result.is_identical
    assert result.recording in studio.recordings()
    assert result.recording_bytes > 0
    assert [panel.name for panel in result.panels] == [panel.name for panel in PANELS]
    names = [name for panel in result.panels for name in panel.files]
    assert len(names) == len(set(names))
    for panel in result.panels:
        assert panel.files or panel.why_not
        for name, data in panel.files.items():
            match name.rsplit(".")[-1]:
                case "png" | "webp":
                    Image.open(io.BytesIO(data)).load()
                case "npz":
                    assert all(np.isfinite(array).all() for array in np.load(io.BytesIO(data)).values())
                case "csv":
                    rows = list(csv.reader(io.StringIO(data.decode("utf-8"))))
                    assert len({len(row) for row in rows}) == 1
                case "mp4":
                    assert data[4:8] == b"ftyp"
                case other:
                    raise AssertionError(other)


def test_only_the_panels_that_are_named_are_made(studio):
    path = studio.txt2img(ALONE).paths[0]
    result = studio.inside(InsideRequest(picture=path, panels=("film",)))
    assert [panel.name for panel in result.panels] == ["film"]
    with pytest.raises(ValueError, match=r"panels must be some of film, .*, got flim"):
        studio.inside(InsideRequest(picture=path, panels=("flim",)))


def test_a_picture_that_cannot_be_recorded_is_said_and_panels_without_a_run_are_shown(
    studio, tmp_path, monkeypatch
):
    path = tmp_path / "plain.png"
    PICTURE.save(path)

    def never(look: Look) -> PanelFiles:
        raise AssertionError

    def of_picture(alone: PictureAlone) -> PanelFiles:
        return PanelFiles(pictures={"itself": alone.image})

    about: dict[str, Any] = {
        "title": "T",
        "seen": "A. B.",
        "not_shown": "C.",
        "formula": "x",
        "exactness": EXACT,
    }
    one = Panel(name="one", make=never, **about)
    two = Panel(name="two", make=never, make_of_picture=of_picture, **about)
    monkeypatch.setattr(report, "find_panels", lambda names: (one, two))
    result = studio.inside(InsideRequest(picture=path))
    assert result.is_identical is None
    assert result.sentence.startswith("plain.png holds no parameters, so it cannot be made again")
    assert [panel.why_not != "" for panel in result.panels] == [True, False]
    assert list(result.panels[1].files) == ["two-itself.png"]


def test_a_panel_that_does_not_fit_a_recording_says_why(studio):
    look = look_at(studio, ALONE)

    def why_not(recording: Recording) -> str:
        return "Without guidance there is nothing to see."

    def refuse(look: Look) -> PanelFiles:
        raise ValueError("the model is gone")

    about: dict[str, Any] = {
        "title": "T",
        "seen": "A. B.",
        "not_shown": "C.",
        "formula": "x",
        "exactness": EXACT,
    }
    assert report.show(look, Panel(name="one", make=refuse, why_not=why_not, **about)).why_not == (
        "Without guidance there is nothing to see."
    )
    assert report.show(look, Panel(name="one", make=refuse, **about)).why_not == "the model is gone"


def test_no_cell_is_a_formula():
    data = report.csv_bytes([["word", "share"], ["=1+1", -0.5], ["@cat, dog", 1], ["a\nb", 2]])
    assert list(csv.reader(io.StringIO(data.decode()))) == [
        ["word", "share"],
        ["'=1+1", "-0.5"],
        ["'@cat, dog", "1"],
        ["a\nb", "2"],
    ]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"picture": 7}, "picture must be the path of a picture's file"),
        ({"picture": ""}, "picture must be the path of a picture's file"),
        ({"picture": PICTURE}, "picture must be the path of a picture's file"),
        ({"panels": "film"}, "panels must be names of panels, got"),
        ({"panels": (7,)}, "panels must be names of panels, got"),
        ({"mask_image": 3}, "mask_image must be a picture or the path of one"),
    ],
)
def test_a_bad_request_is_refused(changes, rule):
    with pytest.raises(ValueError, match=rule):
        InsideRequest(**{"picture": "a.png", **changes})


def test_a_stop_comes_out(studio):
    path = studio.txt2img(ALONE).paths[0]

    def stop(step: Any) -> None:
        if step.text.startswith("Panel"):
            raise Cancelled

    with pytest.raises(Cancelled):
        studio.inside(InsideRequest(picture=path), stop)


# -- the command


@pytest.fixture
def saved(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in cli.SETTINGS:
        monkeypatch.delenv(f"SD_APP_{name.upper()}", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(studio.settings.cache_dir))
    return studio.txt2img(ALONE).paths[0]


def test_the_command_writes_every_panel_and_names_each_file(studio, saved, tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    models = ["--models-dir", str(studio.settings.models_dir), "--device", "cpu"]
    assert cli.main(["inside", str(saved), "--output", str(folder), *models, "--panels", "film"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("The picture was made again and is the same to the byte")
    files = sorted(folder.iterdir())
    assert len(files) == 9
    assert all(f"  {file}" in printed for file in files)


def test_the_command_says_why_not_in_one_line_each(studio, saved, tmp_path, capsys):
    plain = tmp_path / "plain.png"
    PICTURE.save(plain)
    models = ["--models-dir", str(studio.settings.models_dir), "--panels", "film"]
    assert cli.main(["inside", str(plain), "--output", str(tmp_path / "new"), *models]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("plain.png holds no parameters")
    assert cli.main(["inside", str(saved), "--output", str(plain), *models]) == 2
    assert "output must be a folder, got the file plain.png" in capsys.readouterr().err
    assert cli.main(["inside", str(tmp_path / "gone.png"), "--output", str(tmp_path / "new"), *models]) == 2
    assert "gone.png" in capsys.readouterr().err


# -- fewer steps


@pytest.mark.parametrize("scheduler", [name for name in SCHEDULER_NAMES if name != "PLMS"])
def test_all_numbers_of_steps_begin_with_one_noise_at_one_level(studio, scheduler):
    look = look_at(studio, replace(ALONE, scheduler=scheduler))
    made, said = with_fewer_steps(look, (20, 10, 5, 3))
    starts = [one.timestep for one in made]
    assert max(starts) - min(starts) < SAME_LEVEL
    assert min(starts) > 960
    assert len({one.image.tobytes() for one in made}) == len(made)
    assert len(made) + len(said) == 4


def test_a_sampler_that_begins_elsewhere_with_fewer_steps_says_so(studio, monkeypatch):
    monkeypatch.setattr(fewer_steps, "COUNTS", (50, 20, 5))  # 200 take their time
    look = look_at(studio, replace(ALONE, scheduler="PLMS"))
    said = make_fewer_steps(look).said
    assert said[0].startswith("Not all begin at the same noise level with this sampler")
    said = make_fewer_steps(look_at(studio, replace(ALONE, scheduler="DDIM"))).said
    assert said == ["Sampler DDIM, schedule type SGM Uniform, one noise."]


def test_leading_spacing_would_begin_elsewhere(studio):
    look = look_at(studio, replace(ALONE, scheduler="DDIM"))
    starts = [
        float(studio.record(replace(look.request, num_inference_steps=steps), keep=False).timesteps[0])
        for steps in (50, 5)
    ]
    assert starts == [981, 801]
    made, _ = with_fewer_steps(look, (50, 5))
    assert [one.timestep for one in made] == [999, 999]


def test_from_a_picture_too_few_steps_are_said(studio):
    request = replace(KINDS["img2img"], num_images=1, strength=0.3)
    made, said = with_fewer_steps(look_at(studio, request), (20, 2))
    assert [one.calls for one in made] == [6]
    assert said == ["2 steps are too few: at this strength none of them would be run."]


def test_a_request_says_all_that_its_file_does_not(studio):
    """The fields of the request are the command's flags and the endpoint's parameters."""
    assert [field.name for field in fields(InsideRequest)] == [
        "picture",
        "init_image",
        "mask_image",
        "other_picture",
        "panels",
    ]
