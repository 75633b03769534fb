"""The page's scripts: served as modules, in every mode, and nothing else with them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from fastapi.testclient import TestClient
from gradio.routes import App

from sd_app.ui import choose_access, launch_options, theme_options
from sd_app.ui.shared.scripts import INLINE, UI, address_of, function_of, script_of, scripts, version

MODULES = sorted(path.relative_to(UI).as_posix() for path in UI.rglob("*.js"))
PYTHON = "\n".join(path.read_text(encoding="utf-8") for path in UI.rglob("*.py"))


@contextmanager
def page(root_path: str = "", **flags: Any) -> Iterator[httpx.Client]:
    """Serve a page with one component on it as app.py does with these flags."""
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.HTML("", js_on_load=script_of("header/badge.js", "free"))
    options = {**launch_options(choose_access(environ={}, **flags)), "share": False}
    options |= {**theme_options(), "root_path": root_path, "prevent_thread_lock": True, "quiet": True}
    _, url, _ = demo.launch(**options)
    try:
        with httpx.Client(base_url=url) as client:
            yield client
    finally:
        demo.close()


@pytest.fixture(scope="module")
def local() -> Iterator[TestClient]:
    """Return a client of a page in local mode."""
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.HTML("", js_on_load=script_of("header/badge.js", "free"))
    options = launch_options(choose_access(environ={}))
    app = App.create_app(demo, app_kwargs=options["app_kwargs"])
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def test_every_module_is_served_as_javascript_and_kept_by_browsers(local: TestClient) -> None:
    for name in scripts():
        answer = local.get(f"/{address_of(name)}")
        assert answer.status_code == 200
        assert answer.content == (UI / name).read_bytes()
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "name",
    [
        "shared/scripts.py",
        "shared/style.css",
        "package.json",
        "shared/nothing.js",
        "shared",
        "",
        "../settings.py",
        "shared/../../settings.py",
        "%2e%2e/settings.py",
        "..%2fsettings.py",
        "/etc/passwd",
        "shared/result.js/",
        "shared\\result.js",
        INLINE,
    ],
)
def test_nothing_else_is_served_from_there(name: str, local: TestClient) -> None:
    assert local.get(f"/scripts/{version()}/{name}").status_code == 404


def test_another_version_is_refused_rather_than_mixed_with_this_one(local: TestClient) -> None:
    answer = local.get("/scripts/0123456789abcdef/shared/result.js")
    assert answer.status_code == 404
    assert "Reload the page" in answer.text
    assert "cache-control" not in answer.headers


@pytest.mark.parametrize("flags", [{}, {"auth": "me:secret"}, {"share": True}, {"mode": "space"}])
def test_scripts_are_public_in_every_mode(flags: dict[str, Any]) -> None:
    with page(**flags) as client:
        assert client.get(address_of("shared/result.js")).status_code == 200
        locked = client.get("config").status_code == 401
        assert locked == bool({"auth", "share"} & flags.keys())


def test_the_page_names_its_scripts_relative_to_itself_so_that_a_proxy_may_move_it() -> None:
    with page(root_path="/studio") as client:
        head = client.get("config").json()["head"]
        found = re.findall(r'(?:src|href)="([^"]*scripts/[^"]*)"', head)
        assert set(found) == {address_of(name) for name in scripts()}
        assert not any(address.startswith("/") for address in found)
        assert client.get(address_of("shared/page.js")).status_code == 200


def test_a_foreign_host_name_gets_no_scripts_in_local_mode(local: TestClient) -> None:
    answer = local.get(f"/{address_of('shared/page.js')}", headers={"host": "elsewhere.example"})
    assert answer.status_code == 400


def test_the_version_changes_with_any_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version_of(**files: str) -> str:
        for name, text in files.items():
            (tmp_path / f"{name}.js").write_text(text)
        scripts.cache_clear()
        version.cache_clear()
        return version()

    monkeypatch.setattr("sd_app.ui.shared.scripts.UI", tmp_path)
    try:
        first = version_of(a="1", b="2")
        assert version_of(a="1", b="2") == first
        assert len({first, version_of(b="3"), version_of(c=""), version_of(a="13", b="")}) == 4
    finally:
        monkeypatch.undo()
        scripts.cache_clear()
        version.cache_clear()


def test_gradio_knows_the_declared_events_and_no_others() -> None:
    with gr.Blocks(analytics_enabled=False):
        block = gr.HTML("", js_on_load=script_of("interrogate/words.js", "toggle", sendTo=[]))
    assert callable(block.toggle)
    with pytest.raises(AttributeError):
        block.untold  # noqa: B018  # looking it up is the question


@pytest.mark.parametrize("name", MODULES)
def test_each_event_that_a_module_triggers_is_declared_in_python(name: str) -> None:
    for event in re.findall(r'trigger\(\s*"(\w+)"', (UI / name).read_text(encoding="utf-8")):
        assert f'"{event}"' in PYTHON, f"{name} triggers {event}"


@pytest.mark.parametrize("name", MODULES)
def test_each_import_of_a_module_is_a_module_that_is_served(name: str) -> None:
    for target in re.findall(r'from "([^"]+)"', (UI / name).read_text(encoding="utf-8")):
        found = (UI / name).parent.joinpath(target).resolve().relative_to(UI.resolve())
        assert found.as_posix() in scripts()


def test_no_script_stands_in_python_but_the_one_that_loads_modules() -> None:
    for path in UI.rglob("*.py"):
        if path.name != "scripts.py":
            assert not re.search(r"=>|addEventListener|document\.", path.read_text(encoding="utf-8")), path


def test_functions_named_in_python_are_there() -> None:
    for name, function in re.findall(r'function_of\(\s*"([\w/.]+)", "(\w+)"', PYTHON):
        text = scripts()[name].decode()
        assert re.search(rf"export (async )?(function {function}\b|const {function} =)", text), function


def test_values_travel_into_scripts_as_they_are() -> None:
    text = function_of("shared/controls.js", "same", {"text": 'a "quote" $bound'})
    assert r'{"text": "a \"quote\" $bound"}' in text
    with pytest.raises(AssertionError):
        script_of("shared/nothing.js")
