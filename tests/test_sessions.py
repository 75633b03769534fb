"""What the server remembers of visitors is bounded; one that was forgotten goes on all the same."""

import gc
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import psutil
import pytest
from gradio_client import Client

from sd_app import Settings, Studio
from sd_app.ui import build_ui, choose_access, launch_options, theme_options
from sd_app.ui.sessions import MAX_SESSIONS, Sessions

MEGABYTE = 1e6
FEW = 25


@pytest.fixture(scope="module")
def demo(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gr.Blocks]:
    yield from opened(random_models, tmp_path_factory.mktemp("o"), MAX_SESSIONS)


@pytest.fixture(scope="module")
def forgetful(random_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gr.Blocks]:
    """Serve the page with room for few visitors: each takes a while to come."""
    yield from opened(random_models, tmp_path_factory.mktemp("f"), FEW)


def opened(models: Path, outputs: Path, capacity: int) -> Iterator[gr.Blocks]:
    demo = build_ui(Studio(Settings(models_dir=models, outputs_dir=outputs, model="model-a")))
    options = launch_options(choose_access(environ={}))
    assert options["state_session_capacity"] == MAX_SESSIONS
    options["state_session_capacity"] = capacity
    demo.launch(prevent_thread_lock=True, quiet=True, **options, **theme_options())
    yield demo
    demo.close()


def visit(demo: gr.Blocks, client: httpx.Client, session: str) -> None:
    """Do what a page does when it is opened: its load events that need no queue, as one visitor."""
    values = {one["id"]: one["props"].get("value") for one in demo.config["components"]}
    for one in demo.config["dependencies"]:
        quick = one["queue"] is False and one["backend_fn"]
        if quick and any(name == "load" for _, name in one["targets"]):
            data = [values[number] for number in one["inputs"]]
            body = {"data": data, "fn_index": one["id"], "session_hash": session}
            client.post(f"{demo.local_url}gradio_api/run/predict", json=body).raise_for_status()


def sessions(demo: gr.Blocks) -> Sessions:
    holder = demo.app.state_holder
    assert isinstance(holder, Sessions)
    return holder


def test_a_session_holds_no_copy_of_the_page(demo: gr.Blocks) -> None:
    with httpx.Client() as client:
        visit(demo, client, "one")
    session: Any = sessions(demo)["one"]
    assert session.config_values == {}
    assert len(session.blocks_config.blocks) > 100  # the page is there all the same


def test_a_session_keeps_a_component_only_if_it_reads_otherwise_now(demo: gr.Blocks) -> None:
    session: Any = sessions(demo)[uuid.uuid4().hex]
    built = demo.default_config.blocks
    (first, slider), (second, other) = [item for item in built.items() if isinstance(item[1], gr.Slider)][:2]
    asked = {**slider.constructor_args, "render": False}
    session[first] = shown = gr.Slider(**{**asked, "value": 2, "visible": False})
    assert session[first] is shown  # which Gradio answers from
    session[second] = gr.Slider(**{**other.constructor_args, "render": False, "maximum": 1000})
    assert session[first] is slider
    session[first] = gr.Slider(**asked)
    assert session[second].maximum == 1000
    session[second] = gr.Slider(**{**other.constructor_args, "render": False})
    session[first] = gr.Slider(**asked)
    assert session[second] is other


def test_no_more_than_the_latest_sessions_are_kept_and_a_forgotten_one_goes_on(forgetful: gr.Blocks) -> None:
    holder = sessions(forgetful)
    with httpx.Client() as client:
        visit(forgetful, client, "first")
        for _ in range(FEW + 5):
            holder[uuid.uuid4().hex]
        assert len(holder.session_data) == FEW == len(holder.time_last_used)
        assert "first" not in holder.session_data
        visit(forgetful, client, "first")
        assert "first" in holder.session_data


def test_a_program_whose_session_was_forgotten_is_answered_too(forgetful: gr.Blocks) -> None:
    client = Client(forgetful.local_url, verbose=False)
    assert client.predict("a cat", api_name="/tokens")["count"] == 2
    for _ in range(FEW + 5):
        sessions(forgetful)[uuid.uuid4().hex]
    assert client.session_hash not in sessions(forgetful).session_data
    assert client.predict("a cat", api_name="/tokens")["count"] == 2


def test_many_at_once_get_one_session_each(demo: gr.Blocks) -> None:
    holder = sessions(demo)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: id(holder["together"]), range(32)))
    assert len(set(found)) == 1


def resident() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss) / MEGABYTE


def grown(demo: gr.Blocks, visitors: int, reloads: int) -> float:
    """Return the megabytes that so many new sessions and reloads of the page add."""
    with httpx.Client() as client:
        before = resident()
        for _ in range(visitors):
            visit(demo, client, uuid.uuid4().hex)
        for _ in range(reloads):
            client.get(demo.local_url).raise_for_status()
            visit(demo, client, uuid.uuid4().hex)
        return resident() - before


def test_many_visitors_take_little_memory(demo: gr.Blocks) -> None:
    grown(demo, 15, 3)
    assert grown(demo, 30, 3) < 17  # with a copy of the page for each it were 23


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_visitors_and_two_hundred_reloads_grow_by_less_than_50_megabytes(
    demo: gr.Blocks,
) -> None:
    grown(demo, 100, 10)
    growth = grown(demo, 2000, 200)
    print(f"2,000 sessions and 200 reloads after the first hundred: {growth:.1f} MB")
    assert growth < 50
