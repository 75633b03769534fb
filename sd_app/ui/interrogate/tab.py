"""The tab "Interrogate": from a picture to words, and pictures against texts."""

from dataclasses import replace
from typing import Any

import gradio as gr

from ..shared.canvas import easel_block
from ..shared.controls import go_row, notice_block
from ..shared.files import Shelf
from ..shared.job_queue import Line
from .events import NAME, Interrogator
from .match import Matcher, match_columns
from .search_form import more_block, question_block
from .search_results import Finds
from .words import words_block


def interrogate_tab(studio: Any, line: Line, shelf: Shelf, *, picker: Any) -> tuple[Interrogator, Matcher]:
    """Build the tab inside gr.Tabs, with its two views. `picker` is the header's model picker."""
    with (
        gr.Tab("Interrogate", id=NAME, elem_id=f"tab-{NAME}"),
        gr.Tabs(elem_id="interrogate-views", elem_classes="views-bar"),
    ):
        with (
            gr.Tab("Find words", id="words", elem_id="view-words"),
            gr.Row(elem_classes="maker", equal_height=False),
        ):
            interrogator = _words_view(studio, line, shelf, picker)
        with (
            gr.Tab("Match pictures and texts", id="match", elem_id="view-match"),
            gr.Row(elem_classes="maker", equal_height=False),
        ):
            matcher = match_columns(studio, line, shelf)
    return interrogator, matcher


def _words_view(studio: Any, line: Line, shelf: Shelf, picker: Any) -> Interrogator:
    with gr.Column(elem_classes="ask", scale=0, min_width=320):
        notice = notice_block()
        easel = easel_block("view", shelf, studio.settings.max_pixels)
        question = question_block(studio)
        go, stop = go_row("Interrogate")
        question = replace(question, form={**question.form, **more_block(studio)})
    with gr.Column(elem_classes="get", scale=1, min_width=320):
        words = words_block(NAME)
    return Interrogator(
        studio=studio,
        line=line,
        shelf=shelf,
        finds=Finds(),
        picker=picker,
        question=question,
        notice=notice,
        easel=easel,
        go=go,
        stop=stop,
        words=words,
    )
