"""The token view: every row the model reads for one prompt or two, and the numbers they become.

Its value is a TokensValue, which tokens.js draws.

A row that is looked up is asked for by the event `look_up`; its nearest words arrive in a second component,
so that the numbers do not travel again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr

from ...pictures.charts import HEAT_COLORS, LINEAR
from ...queue import JobQueue
from ..shared.browser_state import QUIET, SILENT
from ..shared.components import Form
from ..shared.errors import attempt, error_sentence
from ..shared.form import whole_number
from ..shared.job_events import job_events
from ..shared.scripts import UI, script_of
from ..shared.studio_protocol import PageStudio
from ..shared.visitors import owner_of
from .token_jobs import (
    EMPTY,
    NO_ROW,
    TAB,
    LookUpJob,
    NearValue,
    NumbersAsked,
    NumbersJob,
    TokensValue,
    register_kinds,
    sides_of,
)


@dataclass(frozen=True, kw_only=True)
class TokenView:
    """The two components, and what fills them."""

    view: gr.HTML
    near: gr.HTML
    studio: PageStudio
    queue: JobQueue

    def wire(self, fields: Form, show: gr.Button, stop: gr.Button) -> None:
        """Connect the prompts `text` and `other`, `model` and `clip_skip` of a form, and the buttons."""
        register_kinds(self.queue, self.studio)
        asked = [fields[name] for name in ("text", "other", "model", "clip_skip")]
        gr.on(
            [component.change for component in asked],
            self.table,
            inputs=asked,
            outputs=self.view,
            preprocess=False,
            trigger_mode="always_last",
            **QUIET,
        )
        running: dict[str, object] = {**SILENT, "concurrency_limit": None, "api_visibility": "private"}
        show.click(
            self.numbers,
            inputs=asked,
            outputs=self.view,
            preprocess=False,
            trigger_mode="multiple",
            **running,
        )
        stop.click(self.stop, **QUIET)
        self.view.look_up(
            self.look_up,
            outputs=self.near,
            trigger_mode="always_last",
            **running,
        )

    def table(self, text: object, other: object, model: object, clip_skip: object) -> TokensValue:
        """Return the value that shows the tokens of one prompt or two. Loads no weights."""
        texts = _texts(text, other)
        if not texts:
            return EMPTY

        def table() -> TokensValue:
            sides = sides_of(self.studio, texts, model)
            return {**EMPTY, "phase": "table", "sides": sides, "asked": [model, whole_number(clip_skip)]}

        return attempt(table, self._failed)

    def _failed(self, error: Exception) -> TokensValue:
        return {**EMPTY, "phase": "error", "text": error_sentence(error, self.studio.settings.mode)}

    def numbers(
        self, text: object, other: object, model: object, clip_skip: object, browser: gr.Request
    ) -> Iterator[TokensValue]:
        """Yield the values that show the tensors of one prompt or two, and how many jobs are before."""
        asked = NumbersAsked(texts=_texts(text, other), model=model, clip_skip=whole_number(clip_skip))
        view = NumbersJob(studio=self.studio, asked=asked)
        yield from job_events(self.queue, owner_of(browser), view.ask, view, self.studio.settings.mode)

    def look_up(self, browser: gr.Request, event: gr.EventData) -> Iterator[NearValue]:
        """Yield the words nearest to the row that the event is about."""
        view = LookUpJob(asked=event._data if isinstance(event._data, dict) else {})
        yield from job_events(self.queue, owner_of(browser), view.ask, view, self.studio.settings.mode)

    def stop(self, browser: gr.Request) -> None:
        """Stop what the view asked for."""
        self.queue.stop(owner_of(browser), tab=TAB)


def token_view(studio: PageStudio, queue: JobQueue) -> TokenView:
    """Make the view."""
    view = gr.HTML(
        value=EMPTY,
        html_template=(UI / "embeddings/tokens.html").read_text(encoding="utf-8"),
        js_on_load=script_of("embeddings/tokens.js", "look_up", heatColors=HEAT_COLORS, linear=LINEAR),
        apply_default_css=False,
        elem_classes=["only", "on-tokens"],
    )
    near = gr.HTML(
        value=NO_ROW,
        html_template="<span></span>",
        js_on_load=script_of("embeddings/tokens_near.js"),
        apply_default_css=False,
        elem_classes="tokens-near",
    )
    return TokenView(view=view, near=near, studio=studio, queue=queue)


def _texts(*texts: object) -> list[str]:
    return [text for text in texts if isinstance(text, str) and text.strip()]
