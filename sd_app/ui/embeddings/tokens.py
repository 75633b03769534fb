"""The token view: every row the model reads for one prompt or two, and the numbers they become.

Its value is a dict that tokens.js draws:

    phase      empty, table (no numbers yet), waiting, done or error
    text       what is going on, or the error; with an error what is drawn stays
    sides      one or two of {prompt, rows, count, kept, num_chunks, values}; `values` is the (77*n, D) tensor
               as base64 of little-endian float32, None before it is there
    empty      the empty prompt's (77, D), likewise
    unlike     the rows in which two prompts differ, None for one prompt
    model, clip_skip    what the numbers are of

A row that is looked up is asked for by the event `look_up`; its nearest words arrive in a second component,
so that the numbers do not travel again.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import gradio as gr
import numpy as np

from ...pictures.charts import HEAT_COLORS, LINEAR
from ...requests import Cancelled, Encoding, RowReport, Step, TokenTable
from ..shared.browser_state import QUIET
from ..shared.errors import sentence, words
from ..shared.gpu import borrow_call
from ..shared.job_queue import JobQueue, Waiting, stream
from ..shared.scripts import UI, script_of

EMPTY: dict[str, Any] = {"phase": "empty", "text": "", "sides": [], "empty": None, "unlike": None}
NO_ROW: dict[str, Any] = {"row": None, "text": "", "near": []}
MAX_WINDOWS = 8  # of a prompt whose numbers are shown


@dataclass(frozen=True, kw_only=True)
class TokenView:
    """The two components, and what fills them."""

    view: Any
    near: Any
    studio: Any
    queue: JobQueue

    def wire(self, fields: dict[str, Any], show: Any) -> None:
        """Connect the prompts `text` and `other`, `model` and `clip_skip` of a form, and the button."""
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
        running: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden"}
        show.click(
            self.numbers,
            inputs=asked,
            outputs=self.view,
            preprocess=False,
            trigger_mode="multiple",
            api_visibility="private",
            **running,
        )
        self.view.look_up(
            self.look_up,
            outputs=self.near,
            trigger_mode="always_last",
            api_visibility="private",
            **running,
        )

    def table(self, text: object, other: object, model: object, clip_skip: object) -> dict[str, Any]:
        """Return the value that shows the tokens of one prompt or two. Loads no weights."""
        texts = _texts(text, other)
        if not texts:
            return EMPTY
        try:
            return {**EMPTY, "phase": "table", "sides": self._sides(texts, model)}
        except Exception as error:  # noqa: BLE001  # the page says so and lives
            return self._error(error)

    def numbers(
        self, text: object, other: object, model: object, clip_skip: object, browser: gr.Request
    ) -> Iterator[dict[str, Any]]:
        """Yield the values that show the tensors of one prompt or two, and how many jobs are before."""
        texts = _texts(text, other)
        try:
            if not texts:
                raise ValueError("the prompt must not be empty (type what you want to look into)")
            sides = self._sides(texts, model)
            encode = borrow_call(self.studio, "encode")

            def run(on_step: object) -> list[Encoding]:
                return [encode(one, model, clip_skip=_whole(clip_skip)) for one in texts]

            drawn = {**EMPTY, "phase": "waiting", "sides": sides}
            yield {**drawn, "text": "Reading the prompt…"}
            for event in stream(self.queue, str(browser.session_hash), run):
                if isinstance(event, Waiting):
                    yield {**drawn, "text": event.text}
                elif isinstance(event, list):
                    yield {**drawn, **numbers_of(sides, event)}
                    return
                else:
                    yield gr.skip()
            yield {**drawn, "phase": "table", "text": "Stopped"}
        except Exception as error:  # noqa: BLE001  # the page says so and lives
            yield self._error(error)

    def look_up(self, browser: gr.Request, event: gr.EventData) -> Iterator[dict[str, Any]]:
        """Yield the words nearest to the row that the event is about."""
        asked: dict[str, Any] = event._data if isinstance(event._data, dict) else {}
        places = {name: _whole(asked.get(name)) for name in ("row", "side")}
        told = {**NO_ROW, **{name: at if isinstance(at, int) else 0 for name, at in places.items()}}
        try:
            look_up = borrow_call(self.studio, "look_up")

            def run(on_step: Callable[[Step], None]) -> RowReport:
                known = {"clip_skip": _whole(asked.get("clip_skip")), "on_step": on_step}
                try:
                    report: RowReport = look_up(
                        asked.get("prompt"), places["row"], asked.get("model"), **known
                    )
                except Cancelled as error:
                    raise ValueError("Stopped") from error
                return report

            yield {**told, "text": "Reading the vocabulary…"}
            for step in stream(self.queue, str(browser.session_hash), run):
                if isinstance(step, Waiting):
                    yield {**told, "text": step.text}
                elif isinstance(step, Step):
                    yield {**told, "text": f"Reading the vocabulary… {100 * step.fraction:.0f} %"}
                elif isinstance(step, RowReport):
                    yield {**told, "near": [[word.text, word.cosine] for word in step.near]}
                    return
                else:
                    yield gr.skip()
            yield {**told, "text": "Stopped"}
        except Exception as error:  # noqa: BLE001  # the page says so and lives
            yield {**told, "text": self._error(error)["text"]}

    def _sides(self, texts: list[str], model: object) -> list[dict[str, Any]]:
        return [side_of(text, self.studio.token_table(text, model)) for text in texts]

    def _error(self, error: Exception) -> dict[str, Any]:
        text = sentence(words(error, self.studio.settings.mode))
        return {**EMPTY, "phase": "error", "text": text}


def token_view(studio: Any, queue: JobQueue) -> TokenView:
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


def side_of(prompt: str, table: TokenTable) -> dict[str, Any]:
    """Return a prompt's rows as tokens.js draws them; of a long prompt the first MAX_WINDOWS windows."""
    rows = table.rows[: MAX_WINDOWS * len(table.rows) // table.num_chunks]
    known = {"count": table.count, "kept": table.kept, "num_chunks": table.num_chunks}
    return {"prompt": prompt, "rows": [asdict(row) for row in rows], **known, "values": None}


def numbers_of(sides: list[dict[str, Any]], encodings: list[Encoding]) -> dict[str, Any]:
    """Return what the encodings add to a value that shows their tables."""
    first = encodings[0]
    window = len(first.embeds) // first.table.num_chunks
    return {
        "phase": "done",
        "sides": [
            {**side, "values": floats_url(encoding.embeds[: len(side["rows"])])}
            for side, encoding in zip(sides, encodings, strict=True)
        ],
        "empty": floats_url(first.empty[:window]),
        "unlike": list(first.rows_unlike(encodings[1])) if len(encodings) > 1 else None,
        "model": first.model,
        "clip_skip": first.clip_skip,
    }


def floats_url(values: np.ndarray) -> str:
    """Return an array's float32 values, exactly, as base64."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _texts(*texts: object) -> list[str]:
    return [text for text in texts if isinstance(text, str) and text.strip()]


def _whole(value: object) -> Any:
    """Return 2.0, as browsers send it, as 2; the studio judges the rest."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
