"""How a failure becomes a sentence: for the page, HTTP and the command line."""

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from sd_app import Settings, Studio
from sd_app.checks import check_int
from sd_app.cli import main
from sd_app.failures import failure_text
from sd_app.images import open_image
from sd_app.ui import build_ui
from sd_app.ui.shared.guarded import FailureMiddleware, GuardedBlocks, sendable
from tests import event_loops

SECRET = "/home/me/secret"  # a path that nobody should read
NUMBER = re.compile(r"it is number ([0-9A-Z]{6}) in the log")


def caught(call: Callable[[], object]) -> Exception:
    """Return what a call dies of, with its traceback."""
    try:
        call()
    except Exception as error:  # noqa: BLE001
        return error
    raise AssertionError("nothing was raised")


def lookup() -> None:
    raise KeyError(SECRET)


@pytest.mark.parametrize("mode", ["local", "shared", "space"])
def test_what_our_code_refuses_speaks_for_itself(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    for call, words in (
        (lambda: check_int("seed", "x", 0, 9), "seed must be a whole number from 0 to 9, got 'x'"),
        (lambda: open_image(b"junk"), "the picture is not a picture this app can read"),
    ):
        assert failure_text(caught(call), mode).startswith(words)
    assert failure_text(ValueError("width must be"), mode) == "width must be"  # made, never raised
    assert not caplog.records


@pytest.mark.parametrize("mode", ["local", "shared", "space"])
@pytest.mark.parametrize(
    "call",
    [
        lookup,
        lambda: int("a"),
        lambda: np.zeros(2) + np.zeros(3),
        lambda: "\ud83d".encode(),
        lambda: Settings(device="cpu", outputs_dir=Path("a\0b")).outputs_dir.stat(),
        lambda: ["a"].index(SECRET),
        lambda: Studio(Settings()).models()[0].nothing,  # type: ignore[attr-defined]
    ],
)
def test_of_all_else_the_reader_gets_a_number_and_the_log_one_line(
    call: Callable[[], object], mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "sd_app"):
        text = failure_text(caught(call), mode)
    found = NUMBER.search(text)
    assert found, text
    assert SECRET not in text or mode == "local"
    assert "Error" not in text
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{found[1]}: ")
    assert "\n" not in record.getMessage()
    assert record.exc_info is None


def test_at_the_level_debug_the_log_has_the_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "sd_app"):
        failure_text(caught(lookup), "local")
    assert [bool(record.exc_info) for record in caplog.records] == [False, True]


def test_every_failure_has_a_number_of_its_own() -> None:
    assert len({failure_text(caught(lookup)) for _ in range(20)}) == 20


def test_too_many_brackets_and_a_full_memory_have_their_words() -> None:
    def deep(value: int) -> int:
        return deep(value + 1)

    assert "nested too deeply" in failure_text(caught(lambda: deep(0)), "shared")
    full = RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
    for error in (MemoryError(), full):
        assert "make the picture smaller" in failure_text(error, "shared")


def test_the_owner_alone_reads_what_the_system_says_of_files() -> None:
    error = caught(lambda: Path("/nowhere/a.png").read_bytes())
    assert failure_text(error, "local") == "No such file or directory: /nowhere/a.png"
    for mode in ("shared", "space"):
        assert NUMBER.search(failure_text(error, mode))


def test_the_command_line_says_it_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(Studio, "models", lambda self: lookup())
    assert main(["models", "--models-dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert NUMBER.search(said[-1])
    assert not any("Traceback" in line for line in said)


# -- the page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> GuardedBlocks:
    settings = Settings(outputs_dir=tmp_path_factory.mktemp("o"), mode="shared", device="cpu")
    demo = build_ui(Studio(settings))
    assert isinstance(demo, GuardedBlocks)
    return demo


def error_of(page: GuardedBlocks, event: object, inputs: list[object], **known: object) -> gr.Error:
    with pytest.raises(gr.Error) as error:
        event_loops.run(page.process_api(event, inputs, **known))
    return error.value


def test_no_event_and_no_endpoint_fails_without_words(
    page: GuardedBlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an event's function dies of, the visitor gets a sentence with a number, and no path."""
    events = [event for event in page.fns.values() if event.fn is not None]
    assert len(events) > 100

    def die(*given: object, **known: object) -> None:
        raise KeyError(SECRET)

    def die_later(*given: object, **known: object) -> Iterator[None]:
        raise KeyError(SECRET)
        yield

    for event in events:
        monkeypatch.setattr(event, "fn", die_later if event.types_generator else die)
        error = error_of(page, event, [None] * len(event.inputs))
        assert not error.print_exception
        assert NUMBER.search(error.message), event.name
        assert "secret" not in error.message


def test_a_value_that_gradio_refuses_itself_is_refused_in_words(page: GuardedBlocks) -> None:
    """It looks for files before any of our code runs, fetches addresses, and stumbles over odd paths."""
    page.has_launched = True
    by_name = {event.api_name: event for event in page.fns.values()}
    file = {"meta": {"_type": "gradio.FileData"}}
    for name in ("tokens", "match", "picked"):
        event = by_name[name] if name != "picked" else by_name["take_picture"]
        for path, words in (
            ("/etc/passwd", "not uploaded"),
            ("http://127.0.0.1:9/a.png", "fetches no addresses"),
            (" HTTPS://elsewhere.example/a.png", "fetches no addresses"),
            ("a\0b", "not uploaded"),
            ("\ud83d", "not uploaded"),
            ("a" * 5000, "not uploaded"),
        ):
            error = error_of(page, event, [{**file, "path": path}] * len(event.inputs))
            assert words in error.message, (name, path)
            assert not error.print_exception
        assert "values" in error_of(page, event, []).message
        deep: object = 1
        for _ in range(3000):
            deep = [deep]
        assert "nested too deeply" in error_of(page, event, [deep] * len(event.inputs)).message


def test_the_page_gets_html_and_a_program_plain_text(page: GuardedBlocks, monkeypatch) -> None:
    def refuse(*given: object) -> None:
        raise ValueError("got <b>")

    for name, shown in (("tokens", "got <b>"), ("describe", "Got &lt;b&gt;.")):
        event = next(event for event in page.fns.values() if event.api_name == name)
        monkeypatch.setattr(event, "fn", refuse)
        monkeypatch.setattr("sd_app.failures.is_refusal", lambda error: True)
        assert error_of(page, event, ["a"] * len(event.inputs)).message.lower() == shown.lower()


def test_an_event_that_changes_nothing_is_no_failure(page: GuardedBlocks) -> None:
    event = next(event for event in page.fns.values() if event.name == "fit")
    output = event_loops.run(page.process_api(event, [None, None]))
    assert [value["__type__"] for value in output["data"]] == ["update", "update"]


def test_an_answer_can_always_be_sent() -> None:
    import orjson

    odd = {"a\ud83d": ["\ud83db", 2**70, -(2**70), 2**63 - 1, float("nan"), float("inf"), 0.5, True, None]}
    assert sendable(odd) == {"a": ["b", str(2**70), str(-(2**70)), 2**63 - 1, None, None, 0.5, True, None]}
    assert orjson.dumps(sendable(odd))


def test_what_no_route_could_answer_is_answered_in_words(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/begun":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError(SECRET)

    client = TestClient(FailureMiddleware(broken, mode="shared"), raise_server_exceptions=True)
    answer = client.get("/")
    assert answer.status_code == 500
    assert NUMBER.search(answer.json()["error"])
    assert SECRET not in answer.text
    assert len(caplog.records) == 1
