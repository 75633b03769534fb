"""The tab "History": all pictures in the outputs folder, found, opened, compared, thrown away."""

from dataclasses import dataclass

import gradio as gr

from ..shared.result import TARGETS
from ..shared.scripts import UI, script_of
from .shelf import Shelf

NAME = "history"
REUSE = ("txt2img", "img2img", "inpaint", "embeddings")  # tabs that a picture's parameters may belong to


@dataclass(frozen=True, kw_only=True)
class HistoryTab:
    """The tab, assembled. `view` triggers `look`, `send_NAME` and `reuse_NAME` as result blocks do."""

    shelf: Shelf
    view: gr.HTML


def history_tab(shelf: Shelf) -> HistoryTab:
    """Build the tab inside gr.Tabs."""
    targets = {f"send_{target}": label for target, label in TARGETS}
    reuse = [f"reuse_{name}" for name in REUSE]
    with gr.Tab("History", id=NAME, elem_id=f"tab-{NAME}"):
        view = gr.HTML(
            value={"images": [], "selected": 0},
            html_template=(UI / "history/history.html").read_text(encoding="utf-8"),
            js_on_load=script_of(
                "history/history.js",
                "look",
                *targets,
                *reuse,
                sendTo=list(targets.items()),
                private=shelf.is_private,
            ),
            apply_default_css=False,
            elem_classes=["history-block"],
        )
    return HistoryTab(shelf=shelf, view=view)
