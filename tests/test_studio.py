import subprocess
import sys
import threading

import pytest

import sd_app
from sd_app import Settings, Studio, Txt2ImgRequest
from sd_app.schedulers import SCHEDULER_NAMES


def test_importing_the_studio_imports_no_heavy_library():
    code = (
        "import sys, sd_app, sd_app.studio, sd_app.catalog, sd_app.schedulers;"
        "studio = sd_app.Studio(); studio.models(); studio.schedulers(); print(studio.status().device);"
        "print([m for m in ('torch', 'diffusers', 'transformers', 'gradio', 'numpy') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.split("\n")[:2] == ["starting", "[]"]


def test_the_public_names_are_there():
    assert all(hasattr(sd_app, name) for name in sd_app.__all__)
    assert Studio().schedulers() == SCHEDULER_NAMES


def test_warm_up_loads_the_default_model(random_studio):
    random_studio.warm_up()
    assert random_studio.status().loaded == ("model-a",)
    random_studio.unload()
    assert random_studio.status().loaded == ()


def test_unload_before_the_first_job_is_nothing():
    Studio().unload()


def test_tokens_and_a_job_may_come_first_at_the_same_time(random_settings):
    studio = Studio(random_settings)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(studio.tokens("a cat").count)) for _ in range(3)]
    for thread in threads:
        thread.start()
    picture = studio.txt2img(Txt2ImgRequest(prompt="a"), save=False)
    for thread in threads:
        thread.join()
    assert counts == [2, 2, 2]
    assert picture.images


def test_tokens_of_an_unknown_model_are_refused(random_studio):
    with pytest.raises(ValueError, match="model must be one of"):
        random_studio.tokens("a cat", "nothing")


def test_a_model_is_chosen_by_the_request(random_studio):
    pictures = {
        name: random_studio.txt2img(Txt2ImgRequest(prompt="a", model=name, seed=1), save=False)
        for name in ("model-a", "model-b")
    }
    assert pictures["model-b"].request.model == "model-b"
    assert pictures["model-a"].images[0].tobytes() != pictures["model-b"].images[0].tobytes()
    assert set(random_studio.status().loaded) == {"model-a", "model-b"}


def test_an_unwritable_outputs_folder_is_an_error_in_words(random_models, tmp_path):
    (tmp_path / "file").write_text("in the way")
    studio = Studio(Settings(models_dir=random_models, model="model-a", outputs_dir=tmp_path / "file"))
    with pytest.raises(OSError, match="file"):
        studio.txt2img(Txt2ImgRequest(prompt="a"))
    assert studio.txt2img(Txt2ImgRequest(prompt="a"), save=False).images
