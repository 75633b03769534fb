"""The HTTP endpoints, asked by a real client of a page that is really served."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from sd_app import Img2ImgRequest, InterrogateRequest, MatchRequest, Settings, Studio, Txt2ImgRequest
from sd_app.metadata import read_infotext
from sd_app.ui import build_ui
from tests.foreign_forms import png_with
from tests.interrogating import held_out


@pytest.fixture(scope="module")
def outputs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def settings(random_models: Path, outputs_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(
        models_dir=random_models,
        outputs_dir=outputs_dir,
        cache_dir=tmp_path_factory.mktemp("cache"),
        model="model-a",
        batch_size=2,
    )


@pytest.fixture(scope="module")
def api(settings: Settings) -> Iterator[Client]:
    """A client of a page that is really served."""
    demo = build_ui(Studio(settings))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    yield Client(url, verbose=False)
    demo.close()


def test_a_picture_is_looked_inside_of(api: Client, tmp_path: Path) -> None:
    made = api.predict(prompt="a red circle", seed=7, api_name="/txt2img")
    answer = api.predict(handle_file(made["images"][0]), panels=["film"], api_name="/inside")
    assert answer["is_identical"] is True
    assert answer["sentence"].startswith("The picture was made again and is the same to the byte")
    (panel,) = answer["panels"]
    assert (panel["name"], panel["exactness"], panel["why_not"]) == ("film", "exact", "")
    names = {Path(path).name: Path(path) for path in panel["files"]}
    assert {"film-conditional.png", "film-steps.csv", "film.npz", "film.mp4"} <= set(names)
    with Image.open(names["film-conditional.png"]) as strip:
        assert strip.width > strip.height
    plain = tmp_path / "plain.png"
    Image.new("RGB", (64, 64)).save(plain)
    answer = api.predict(handle_file(plain), panels=["film"], api_name="/inside")
    assert answer["is_identical"] is None
    assert "holds no parameters, so it cannot be made again" in answer["sentence"]
    with pytest.raises(AppError, match="panels must be some of film"):
        api.predict(handle_file(plain), panels=["flim"], api_name="/inside")


def test_all_that_a_picture_says_is_told(api: Client, tmp_path: Path) -> None:
    text = "a cat\nSteps: 4, Sampler: Euler, CFG scale: 99, Seed: 5, Size: 64x64, Model: model-a"
    (tmp_path / "theirs.png").write_bytes(png_with({"parameters": text}))
    told = api.predict(handle_file(tmp_path / "theirs.png"), api_name="/info")
    assert told["infotext"] == told["texts"][0]["text"] == text
    assert [one["name"] for one in told["fields"] if one["state"] != "used"] == ["CFG scale"]
    (tmp_path / "note.png").write_text("no picture")
    with pytest.raises(AppError, match="not a picture"):
        api.predict(handle_file(tmp_path / "note.png"), api_name="/info")


def test_styles_and_choices_are_asked_for_over_http(api: Client, settings: Settings) -> None:
    settings.styles_file.write_text("name,prompt\nBig,a big {prompt}\n")
    made = api.predict(prompt="{red|blue} circle", styles=["Big"], seed=7, num_images=2, api_name="/txt2img")
    for text in made["infotexts"]:
        assert text.split("\n")[0] in ("a big red circle", "a big blue circle")
        assert "Styles: Big" in text
    with pytest.raises(AppError, match="styles must be names of styles that are here, got Gone"):
        api.predict(prompt="a", styles=["Gone"], api_name="/txt2img")
    settings.styles_file.unlink()


def test_the_api_takes_the_requests_field_names_and_returns_the_saved_files(
    api: Client, outputs_dir: Path
) -> None:
    before = set(outputs_dir.rglob("*.png"))
    answer = api.predict(prompt="a red circle", seed=7, num_images=2, api_name="/txt2img")
    files = [Path(path).read_bytes() for path in answer["images"]]
    assert files == [path.read_bytes() for path in sorted(set(outputs_dir.rglob("*.png")) - before)]
    assert answer["seeds"] == [7, 8]
    assert answer["infotexts"][1] == read_infotext(answer["images"][1])
    assert answer["seconds"] > 0
    assert [model["name"] for model in api.predict(api_name="/models")] == [
        "model-a",
        "model-b",
        "model-v",
        "tiny-sd",
    ]
    tokens = api.predict(prompt="a cat bozuman", api_name="/tokens")
    assert tokens["count"] == tokens["kept"] == 5
    assert [row["kind"] for row in tokens["rows"]] == ["start", *["text"] * 5, "end", *["padding"] * 70]
    assert {row["id"] for row in tokens["rows"][6:]} == {49407}


def test_the_api_takes_what_makes_a_picture_faster(api: Client) -> None:
    answer = api.predict("a cat", guidance_end=0.5, cache_interval=2, api_name="/txt2img")
    assert "Guidance end: 0.5, DeepCache interval: 2" in answer["infotexts"][0]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"width": 513}, "width must be a multiple of 8, got 513"),
        ({"seed": 2**70}, "seed must be a whole number"),
        ({"prompt": "x" * 100_000}, "prompt must have at most"),
        ({"num_images": True}, "num_images must be a whole number"),
        ({"num_inference_steps": 0}, "num_inference_steps must be"),
        ({"scheduler": "Magic"}, "scheduler must be one of"),
        ({"guidance_end": 2}, "guidance_end must be a number from 0 to 1"),
        ({"cache_interval": 0}, "cache_interval must be a whole number"),
        ({"model": "/etc"}, "model must be one of"),
        ({"width": 8192, "height": 8192}, "pixels"),
    ],
)
def test_the_api_tells_field_value_rule_and_remedy(
    api: Client, changed: dict[str, object], words: str
) -> None:
    with pytest.raises(AppError, match=words):
        api.predict(**{"prompt": "a cat", "num_inference_steps": 1, **changed}, api_name="/txt2img")
    assert api.predict(prompt="a cat", num_inference_steps=1, api_name="/txt2img")["images"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (61, 83, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    mask = Image.new("L", (83, 61))
    mask.paste(255, (20, 10, 50, 40))
    mask.save(tmp_path / "mask.png")
    return tmp_path / "photo.png"


def test_the_api_makes_pictures_from_an_uploaded_picture(
    api: Client, photo: Path, random_studio: Studio
) -> None:
    answer = api.predict("a cat", handle_file(photo), seed=7, strength=0.5, api_name="/img2img")
    request = Img2ImgRequest(prompt="a cat", init_image=photo, seed=7, strength=0.5)
    alone = random_studio.img2img(request, save=False).images[0]
    assert Image.open(answer["images"][0]).tobytes() == alone.tobytes()
    assert "Denoising strength: 0.5" in answer["infotexts"][0]


def test_the_api_repaints_what_the_mask_says_and_nothing_else(api: Client, photo: Path) -> None:
    files = {"init_image": handle_file(photo), "mask_image": handle_file(photo.with_name("mask.png"))}
    answer = api.predict(prompt="a cat", seed=7, api_name="/inpaint", **files)
    result, raw, roundtrip, original = (
        np.asarray(Image.open(path))
        for path in (answer["images"][0], answer["raw_images"][0], answer["roundtrip_image"], photo)
    )
    painted = np.asarray(Image.open(photo.with_name("mask.png"))) > 0
    assert (result[~painted] == original[~painted]).all()
    assert (result[painted] == raw[painted]).all()
    assert roundtrip.shape == original.shape
    assert answer["drifts"][0]["composite"] == {"mean": 0.0, "maximum": 0, "changed_share": 0.0}
    assert answer["drifts"][0]["raw"]["maximum"] > 0
    assert answer["notice"] == ""


@pytest.mark.parametrize(
    ("endpoint", "changed", "words"),
    [
        ("/img2img", {"init_image": None}, "init_image is missing"),
        ("/img2img", {"init_image": "photo.png"}, "must be an uploaded file"),
        ("/img2img", {"init_image": {"path": "/etc/passwd"}}, "open it again"),
        ("/img2img", {"strength": 2}, "strength must be"),
        ("/img2img", {"strength": 0.01}, "strength must be large enough"),
        ("/img2img", {"resize_mode": "zoom"}, "resize_mode must be one of"),
        ("/inpaint", {}, "mask_image must be given"),
        ("/inpaint", {"outpaint": [8, 8]}, "outpaint must be four numbers"),
        ("/inpaint", {"feather": -1, "outpaint": [8, 0, 0, 0]}, "feather must be"),
        ("/inpaint", {"soft_mask": "no", "outpaint": [8, 0, 0, 0]}, "soft_mask must be True or False"),
    ],
)
def test_the_api_refuses_bad_pictures_and_values_in_words(
    api: Client, photo: Path, endpoint: str, changed: dict[str, object], words: str
) -> None:
    values = {"prompt": "a cat", "init_image": handle_file(photo), **changed}
    with pytest.raises(AppError, match=words):
        api.predict(**values, api_name=endpoint)


def test_the_api_finds_the_words_that_python_finds(api: Client, photo: Path, settings: Settings) -> None:
    asked: dict[str, Any] = {"caption": "a drawing", "groups": ["things", "styles"], "max_phrases": 4}
    answer = api.predict(handle_file(photo), **asked, api_name="/interrogate")
    alone = Studio(settings).interrogate(InterrogateRequest(image=photo, **asked))
    assert answer["prompt"] == alone.prompt
    assert answer["caption"] == "a drawing"
    for name in ("similarity", "percentile", "chance"):
        assert answer[name] == pytest.approx(getattr(alone, name))
    assert [tuple(step["phrases"]) for step in answer["steps"]] == [step.phrases for step in alone.steps]
    assert [group["name"] for group in answer["groups"]] == ["things", "styles"]
    assert answer["groups"][0]["phrases"][0]["similarity"] == alone.groups[0].phrases[0].similarity
    assert (answer["clip_model"], answer["notice"]) == ("tiny-clip", alone.notice)
    assert [tuple(finding.values()) for finding in answer["findings"]] == [
        (finding.phrase, finding.group, pytest.approx(finding.times), finding.against)
        for finding in alone.findings
    ]
    assert answer["seconds"] > 0
    # An empty caption says "begin with nothing"; it is not the same as none.
    nothing = api.predict(handle_file(photo), caption="", mode="fast", max_phrases=1, api_name="/interrogate")
    assert (nothing["caption"], nothing["notice"]) == ("", "")


def test_the_api_matches_pictures_with_texts(api: Client, tmp_path: Path, settings: Settings) -> None:
    paths = [tmp_path / f"{index}.png" for index in (1, 2)]
    for index, path in enumerate(paths, 1):
        held_out(index)[0].save(path)
    texts = ["a gray heart on the beach", "a purple moon in the snow", "a red house"]
    answer = api.predict([handle_file(path) for path in paths], texts, api_name="/match")
    alone = Studio(settings).match(MatchRequest(images=paths, texts=texts))
    for name in ("cosines", "text_chances", "image_chances"):
        assert np.allclose(answer[name], getattr(alone, name), atol=1e-6)
    assert np.argmax(answer["text_chances"], axis=1).tolist() == [0, 1]
    assert np.allclose(answer["percentiles"], [[s.percentile for s in row] for row in alone.scores])
    assert (answer["clip_model"], answer["scale"]) == ("tiny-clip", pytest.approx(alone.scale))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"image": None}, "image is missing"),
        ({"image": {"path": "/etc/passwd"}}, "open it again"),
        ({"mode": "worst"}, "mode must be one of true, best, fast"),
        ({"clip_model": "../tiny-clip"}, "clip_model must name"),
        ({"caption": 5}, "caption must be text"),
        ({"groups": ["poets"]}, "groups must be among"),
        ({"groups": "artists"}, "groups must be one name or more"),
        ({"max_phrases": 0}, "max_phrases must be a whole number"),
    ],
)
def test_the_api_refuses_bad_searches_in_words(
    api: Client, photo: Path, changed: dict[str, object], words: str
) -> None:
    with pytest.raises(AppError, match=words):
        api.predict(**{"image": handle_file(photo), "caption": "", **changed}, api_name="/interrogate")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"images": []}, "images must number 1 to 12, got 0"),
        ({"images": ["a.png"]}, "images 1 must be an uploaded file"),
        ({"images": [{"path": "/etc/passwd"}] * 13}, "images must number 1 to 12, got 13"),
        ({"texts": []}, "texts must number 1 to 12"),
        ({"texts": ["a", " "]}, "texts 2 must not be empty"),
    ],
)
def test_the_api_refuses_bad_matches_in_words(
    api: Client, photo: Path, changed: dict[str, object], words: str
) -> None:
    with pytest.raises(AppError, match=words):
        api.predict(**{"images": [handle_file(photo)], "texts": ["a"], **changed}, api_name="/match")


def test_the_api_blends_as_txt2img_does_with_the_expression_in_the_prompt(api: Client) -> None:
    answer = api.predict("cat + 0.43*tabby", prompt="a drawing of {}", seed=7, api_name="/blend")
    plain = api.predict("a drawing of {row: cat + 0.43*tabby}", seed=7, api_name="/txt2img")
    assert answer["infotexts"] == plain["infotexts"]
    assert Path(answer["images"][0]).read_bytes() == Path(plain["images"][0]).read_bytes()
    assert [row[0]["text"] for row in answer["near"]] == ["cat"]


def test_the_api_says_what_is_read_when_and_divides_by_the_weights_sum(api: Client) -> None:
    tokens = api.predict("[cat:dog:0.5] <foo:bar>", num_inference_steps=4, api_name="/tokens")
    assert [(text["text"], text["steps"]) for text in tokens["texts"]] == [
        ("cat <foo:bar>", [[1, 2]]),
        ("dog <foo:bar>", [[3, 4]]),
    ]
    assert "read as plain words" in tokens["remarks"][0]
    asked: dict[str, object] = {"prompt": "a {}", "space": "all", "seed": 7, "num_inference_steps": 1}
    spoiled = api.predict("cat + 0.43*dog", **asked, api_name="/blend")
    assert "add up to 1.43" in spoiled["notice"]
    divided = api.predict("cat + 0.43*dog", **asked, normalize=True, api_name="/blend")
    assert divided["infotexts"][0].startswith("a {(cat + 0.43*dog)/1.43}\n")
    assert "add up" not in divided["notice"]


def test_the_api_walks_and_finds_the_jump(api: Client) -> None:
    asked: dict[str, object] = {"prompt": "a {}", "seed": 7, "num_inference_steps": 2}
    answer = api.predict("cat", "dog", ts=[0, 0.5, 1], bisect=True, film="webp", **asked, api_name="/walk")
    assert answer["ts"] == [0, 0.5, 1]
    assert answer["prompts"][1] == "a {lerp(cat, dog, 0.5)}"
    assert np.shape(answer["distances"]) == (2, 2)
    assert len(answer["images"]) == len(answer["kinds"]) + 1 == 3
    assert Image.open(answer["film"]).n_frames == 3  # type: ignore[attr-defined]
    assert Image.open(answer["strip"]).size == (3 * 64, 64)
    jump = answer["jump"]
    assert 0 < jump["t_right"] - jump["t_left"] <= 1 / 1024
    assert len(jump["history"]) == 10
    assert "lerp" in (read_infotext(jump["left"]) or "")


def test_the_api_walks_over_strength_from_an_uploaded_picture(api: Client, tmp_path: Path) -> None:
    Image.effect_noise((64, 72), 80).convert("RGB").save(tmp_path / "start.png")
    asked: dict[str, Any] = {"prompt": "a {}", "seed": 7, "num_inference_steps": 4, "film": "none"}
    start = {"init_image": handle_file(tmp_path / "start.png"), "strength": 0.5, "to_strength": 1.0}
    answer = api.predict("cat", "cat", frames=3, **asked, **start, api_name="/walk")
    assert Image.open(answer["images"][0]).size == (64, 72)
    assert [text.count("Denoising strength: 0.5,") for text in answer["infotexts"]] == [1, 0, 0]
    # The first pair shares two steps, the second one three.
    missing = [[value is None for value in row] for row in answer["distances"]]
    assert missing == [[True, False, False], [False, False, False]]


def test_the_api_makes_a_plane(api: Client) -> None:
    asked: dict[str, object] = {"rows": 2, "columns": 3, "num_inference_steps": 1, "seed": 7}
    answer = api.predict("cat", "kitten", "tabby", **asked, api_name="/plane")
    assert len(answer["images"]) == 6
    assert answer["prompts"][0].startswith("{row: lerp(cat, kitten, 0.0) + -0.42")
    assert Image.open(answer["sheet"]).size == (3 * 64, 2 * 64)


@pytest.mark.parametrize(
    ("endpoint", "changed", "words"),
    [
        ("/blend", {"expression": "cat +"}, "expression must have words or a number here, got the end"),
        ("/blend", {"expression": "cat / 0"}, "must not divide by 0, at character 7"),
        ("/blend", {"expression": "(" * 10_000}, "must nest at most"),
        ("/blend", {"expression": "nan*cat"}, "expression must"),
        ("/blend", {"prompt": "no slot"}, "prompt must hold {} once"),
        ("/blend", {"space": "outer"}, "space must be one of"),
        ("/walk", {"frames": 10**6}, "frames must be a whole number from 2 to 400"),
        ("/walk", {"ts": [0, "x"]}, "ts must be a number"),
        ("/walk", {"ts": [1, 0]}, "ts must not fall"),
        ("/walk", {"method": "jump"}, "method must be one of"),
        ("/walk", {"film": "gif"}, "film must be one of"),
        ("/walk", {"b": ""}, "b must not have an empty expression"),
        ("/plane", {"rows": 200, "columns": 3}, "400 pictures in all"),
        ("/plane", {"direction": "3"}, "direction must hold words"),
    ],
)
def test_the_api_refuses_nonsense_before_anything_is_loaded(
    api: Client, endpoint: str, changed: dict[str, object], words: str
) -> None:
    values = {"/blend": {"expression": "cat"}, "/walk": {"a": "cat", "b": "dog"}}
    plane = {"a": "cat", "b": "dog", "direction": "red"}
    with pytest.raises(AppError, match=words):
        api.predict(**{**values.get(endpoint, plane), "model": "gone", **changed}, api_name=endpoint)


def test_the_api_gives_the_picture_back_when_the_mask_is_empty(api: Client, photo: Path) -> None:
    black = photo.with_name("black.png")
    Image.new("L", (83, 61)).save(black)
    answer = api.predict("a cat", handle_file(photo), mask_image=handle_file(black), api_name="/inpaint")
    assert "nothing was repainted" in answer["notice"]
    assert Image.open(answer["images"][0]).tobytes() == Image.open(photo).tobytes()


def test_the_pages_own_events_are_not_part_of_the_api(api: Client) -> None:
    info = api.view_api(print_info=False, return_format="dict")
    assert isinstance(info, dict)
    making_tabs = {"/txt2img", "/img2img", "/inpaint", "/blend", "/walk", "/plane", "/interrogate", "/match"}
    by_id = {"/submit", "/status", "/result", "/cancel", "/jobs"}
    assert set(info["named_endpoints"]) == {
        *making_tabs,
        *by_id,
        "/inside",
        "/info",
        "/history",
        "/models",
        "/tokens",
    }
    assert not info["unnamed_endpoints"]


def test_four_clients_at_once_each_get_their_own_picture(api: Client, random_studio: Studio) -> None:
    def ask(seed: int) -> Image.Image:
        answer = Client(api.src, verbose=False).predict(
            prompt=f"picture {seed}", seed=seed, api_name="/txt2img"
        )
        assert answer["seeds"] == [seed]
        return Image.open(answer["images"][0]).convert("RGB")

    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(ask, range(4)))
    for seed, picture in enumerate(pictures):
        alone = random_studio.txt2img(Txt2ImgRequest(prompt=f"picture {seed}", seed=seed), save=False)
        assert picture.tobytes() == alone.images[0].tobytes()
