"""Messages that pop up over the page: plain text, by one door."""

import ast
import html
import warnings
from pathlib import Path

import gradio as gr
import pytest

from sd_app.ui.shared.toasts import client_error, refusal, warn

UI = Path(__file__).parent.parent / "sd_app" / "ui"
DOOR = UI / "shared" / "toasts.py"
TOASTS = {"Warning", "Info", "Error", "Success"}
HOSTILE = '<img src="http://elsewhere/x" onerror=alert(1)> & "cat"'


def uses(source: str) -> list[str]:
    """List the uses of Gradio's messages in a source: gr.Warning, or names taken from gradio."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in TOASTS:
            found.append(ast.unparse(node))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gradio":
            found += [name.name for name in node.names if name.name in TOASTS]
    return found


@pytest.mark.parametrize("path", [*UI.rglob("*.py")], ids=lambda path: path.relative_to(UI).as_posix())
def test_nothing_but_the_door_shows_messages(path: Path) -> None:
    assert uses(path.read_text("utf-8")) == [] or path == DOOR


def test_the_rule_finds_every_way_to_break_it() -> None:
    for source in ("gr.Warning('a')", "raise gradio.Error(x)", "from gradio import Info", "show = gr.Info"):
        assert uses(source)
    assert uses(DOOR.read_text("utf-8"))


def test_foreign_text_is_never_html() -> None:
    with warnings.catch_warnings(record=True) as caught:  # outside an event Gradio warns in the log
        warnings.simplefilter("always")
        warn(HOSTILE)
    shown = str(caught[0].message)
    assert "<" not in shown
    assert html.unescape(shown) == HOSTILE
    error = refusal(HOSTILE)
    assert isinstance(error, gr.Error)
    assert "<" not in error.message
    assert html.unescape(error.message) == HOSTILE


def test_a_program_gets_the_text_as_it_is() -> None:
    assert client_error("got 'a<b'").message == "got 'a<b'"
