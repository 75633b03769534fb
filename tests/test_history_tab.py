"""The tab "History" without a browser: its routes, for the owner and for visitors."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from gradio.routes import App

from sd_app import Settings, Studio
from sd_app.ui import build_ui, choose_access, launch_options, theme_options
from sd_app.ui.history.shelf import Shelf, key_of, name_of
from sd_app.ui.shared.files import PictureFiles
from sd_app.ui.shared.visitors import COOKIE
from tests.history.picture_files import put

ANNA, BERT = "a" * 43, "b" * 43


def client_of(folder: Path, mode: str) -> TestClient:
    settings = Settings(outputs_dir=folder / "outputs", cache_dir=folder / "cache", mode=mode)
    demo = build_ui(Studio(settings))
    options = {**launch_options(choose_access(environ={}, mode=mode)), **theme_options()}
    client = TestClient(App.create_app(demo, app_kwargs=options["app_kwargs"]), base_url="http://127.0.0.1")
    demo.shelf.history.scan()
    return client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history-tab")
    outputs = folder / "outputs"
    put(outputs, "2026-11-20/00001-7.png", "an orange cat", made="2026-11-20T10:00")
    put(outputs, "2026-11-20/00001-7-raw.png")
    put(outputs, "2026-11-21/00001-8.png", "a grey dog", made="2026-11-21T10:00", size=(640, 320))
    put(outputs, os.fsdecode(b"caf\xe9.png"), "a teapot", made="2026-11-19T10:00")
    return folder


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[TestClient]:
    with client_of(folder, "local") as client:
        yield client


@pytest.fixture(scope="module")
def space(folder: Path) -> Iterator[TestClient]:
    with client_of(folder, "space") as client:
        shelf: Shelf = client.app.get_blocks().shelf  # type: ignore[attr-defined]
        shelf.files.on_made([folder / "outputs/2026-11-20/00001-7.png"], ANNA)
        yield client


def ask(client: TestClient, act: str, owner: str = "", **asked: Any) -> Any:
    headers = {"cookie": f"{COOKIE}={owner}"} if owner else {}
    return client.post(f"/history/{act}", json=asked, headers=headers)


def test_a_page_lists_newest_first_with_what_the_grid_draws(local: TestClient) -> None:
    page = ask(local, "page").json()
    assert [one["title"] for one in page["pictures"]] == [
        "2026-11-21/00001-8.png",
        "2026-11-20/00001-7.png",
        "caf�.png",
    ]
    assert page["count"] == 3
    assert page["after"] is None
    assert page["pictures"][1] | {"version": ""} == {
        "name": "2026-11-20/00001-7.png",
        "title": "2026-11-20/00001-7.png",
        "day": "2026-11-20",
        "made": "2026-11-20 10:00",
        "width": 64,
        "height": 64,
        "bytes": page["pictures"][1]["bytes"],
        "prompt": "an orange cat",
        "model": "tiny-sd",
        "seed": "7",
        "kind": "txt2img",
        "program": "",
        "mark": None,
        "companions": ["raw"],
        "version": "",
    }
    assert ask(local, "page", search="dog").json()["count"] == 1
    assert ask(local, "page", search="seed:x").json() == {
        "error": "Seed must be a whole number, got x (write seed:7)."
    }


def test_a_picture_opens_with_its_parameters_and_companions(folder: Path, local: TestClient) -> None:
    one = ask(local, "open", name="2026-11-20/00001-7.png").json()
    assert one["infotext"].startswith("an orange cat\nSteps: 5")
    assert one["image"]["infotext"] == one["infotext"]
    assert one["image"]["seed"] == 7
    assert [view["label"] for view in one["views"]] == ["raw"]
    served = local.get(f"/gradio_api/file={one['image']['file']['path']}")
    assert served.content == (folder / "outputs" / one["name"]).read_bytes()


def test_a_name_that_is_no_utf_8_opens_too(local: TestClient) -> None:
    one = ask(local, "open", name="caf%E9.png").json()
    assert one["prompt"] == "a teapot"
    assert one["image"]["name"] == "caf�.png"
    assert local.get("/history/thumbnail", params={"name": "caf%E9.png"}).status_code == 200


def test_two_are_compared_by_what_differs(local: TestClient) -> None:
    names = ["2026-11-20/00001-7.png", "2026-11-21/00001-8.png"]
    answer = ask(local, "compare", names=names).json()
    assert answer["differences"] == [["Prompt", "an orange cat", "a grey dog"], ["Seed", "7", "8"]]
    assert ask(local, "compare", names=names[:1]).json() == {
        "error": "Pictures to compare must be two, got 1 (select two)."
    }


def test_thumbnails_are_small_and_kept_by_the_browser(local: TestClient) -> None:
    answer = local.get("/history/thumbnail", params={"name": "2026-11-21/00001-8.png"})
    assert answer.headers["content-type"] == "image/jpeg"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert local.get("/history/thumbnail", params={"name": "gone.png"}).status_code == 404


def test_marks_trash_undo_and_export(local: TestClient) -> None:
    name = "2026-11-20/00001-7.png"
    assert ask(local, "mark", names=[name], mark="favourite").json() == {}
    assert ask(local, "page", search="is:favourite").json()["count"] == 1
    assert ask(local, "mark", names=[name], mark="great").status_code == 400
    moved = ask(local, "trash", names=[name, "gone.png"]).json()
    assert moved.get("moved") == [[name, f"trash/{name}"]]
    assert moved["problem"].startswith("1 could not be moved: this picture is not there")
    assert ask(local, "page", trashed=True).json()["pictures"][0]["companions"] == ["raw"]
    back = ask(local, "restore", names=[f"trash/{name}"]).json()
    assert back == {"moved": [[f"trash/{name}", name]], "problem": ""}
    assert ask(local, "page", search="is:favourite").json()["count"] == 1
    answer = ask(local, "export", names=[name]).json()
    assert answer["count"] == 1
    assert local.get(f"/gradio_api/file={answer['file']['path']}").content[:2] == b"PK"


@pytest.mark.parametrize(
    ("act", "asked"),
    [
        ("open", {"name": "../../etc/passwd"}),
        ("open", {"name": "%2Fetc%2Fpasswd"}),
        ("open", {"name": None}),
        ("open", {"name": "é"}),
        ("open", {"name": "%00"}),
        ("compare", {"names": "ab"}),
        ("mark", {"names": [], "mark": None}),
        ("mark", {"names": ["a"] * 1001, "mark": None}),
        ("trash", {"names": [["a"]]}),
        ("export", {"names": {"a": 1}}),
        ("page", {"search": "x" * 2000}),
    ],
)
def test_nonsense_is_refused_in_words(local: TestClient, act: str, asked: dict[str, Any]) -> None:
    answer = ask(local, act, **asked)
    assert answer.status_code in (400, 410)
    assert answer.json()["error"].endswith(".")
    assert "/" not in answer.json()["error"]


@pytest.mark.parametrize("after", [1, "x", ["a", "b"], ["1" * 30, "a"], [1, 2, 3], {"a": 1}])
def test_a_place_that_is_none_is_the_beginning(local: TestClient, after: object) -> None:
    assert ask(local, "page", after=after).json()["count"] == 3


def test_other_sites_and_other_methods_get_nothing(local: TestClient) -> None:
    assert local.post("/history/page", json={}, headers={"origin": "http://evil.example"}).status_code == 403
    assert local.get("/history/page").status_code == 405
    assert local.post("/history/unknown", json={}).status_code == 404


def test_a_visitor_sees_only_their_own(space: TestClient) -> None:
    mine, theirs = "2026-11-20/00001-7.png", "2026-11-21/00001-8.png"
    assert [one["name"] for one in ask(space, "page", ANNA).json()["pictures"]] == [mine]
    assert ask(space, "page", BERT).json()["count"] == 0
    assert ask(space, "page").json()["count"] == 0  # who has no cookie
    for act, asked in (
        ("open", {"name": theirs}),
        ("compare", {"names": [mine, theirs]}),
        ("mark", {"names": [theirs], "mark": "like"}),
        ("trash", {"names": [theirs]}),
        ("export", {"names": [theirs]}),
    ):
        assert ask(space, act, ANNA, **asked).status_code in (400, 410), act
    assert space.get("/history/thumbnail", params={"name": theirs}).status_code == 404
    moved = ask(space, "trash", ANNA, names=[mine]).json()["moved"]
    assert ask(space, "page", BERT, trashed=True).json()["count"] == 0
    assert ask(space, "restore", BERT, names=[moved[0][1]]).status_code in (400, 410)
    assert ask(space, "page", ANNA, trashed=True).json()["count"] == 1
    assert ask(space, "restore", ANNA, names=[moved[0][1]]).json()["moved"] == [moved[0][::-1]]


def test_programs_ask_by_name(local: TestClient) -> None:
    functions: Any = local.app.get_blocks().fns.values()  # type: ignore[attr-defined]
    [history] = [one.fn for one in functions if one.api_name == "history"]
    answer = history(None, "dog")
    assert [one["prompt"] for one in answer["pictures"]] == ["a grey dog"]
    assert answer["count"] == 1
    with pytest.raises(gr.Error, match="seed must be a whole number"):
        history(None, "seed:x")


def test_a_problem_of_the_disk_is_told_to_the_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the cache folder should be")
    shelf = Shelf(
        Settings(outputs_dir=tmp_path, cache_dir=tmp_path / "cache"),
        PictureFiles(tmp_path, shared=False, copies=set()),
    )
    assert shelf.state(None)["problem"].startswith("The index of the history cannot be used: ")
    assert shelf.state("anna")["problem"] == ""
    shelf.history.close()


def test_a_name_survives_the_way_to_the_page_and_back() -> None:
    for raw in (b"a b/\xe9%41?#.png", "猫.png".encode(), b"2026-11-20/1.png"):
        name = os.fsdecode(raw)
        assert name_of(json.loads(json.dumps(key_of(name)))) == name


def test_a_picture_that_was_just_made_is_on_the_page_that_is_asked_for_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the first page nor a look for news is a step behind the folder."""
    monkeypatch.setattr("sd_app.ui.history.shelf.QUICK_SECONDS", 60.0)
    put(tmp_path / "outputs", "2026-11-20/00001-7.png", "an orange cat", made="2026-11-20T10:00")
    with client_of(tmp_path, "local") as client:
        before = ask(client, "page").json()
        put(tmp_path / "outputs", "2026-11-20/00002-7.png", "a grey dog", made="2026-11-21T10:00")
        page = ask(client, "page").json()
        assert (page["count"], page["pictures"][0]["name"]) == (2, "2026-11-20/00002-7.png")
        put(tmp_path / "outputs", "2026-11-20/00003-7.png", "a blue dog")
        assert before["version"] < page["version"] < ask(client, "state").json()["version"]
