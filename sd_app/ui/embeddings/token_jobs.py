"""The jobs of the token view: the numbers of a prompt or two, and the words nearest to one row."""

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict

import gradio as gr
import numpy as np

from ...requests import Cancelled, Encoding, RowReport, Step, TokenTable
from ..shared.form import whole_number
from ..shared.job_events import JobView
from ..shared.job_queue import Run, Waiting
from ..shared.studio_protocol import OnStep, PageStudio

MAX_WINDOWS = 8  # of a prompt whose numbers are shown


class Side(TypedDict):
    """One prompt."""

    prompt: str
    rows: list[dict[str, object]]
    count: int
    kept: int
    num_chunks: int
    values: str | None  # the (77*n, D) tensor as base64 of little-endian float32, None before it is there


class TokensValue(TypedDict, total=False):
    """What the token view shows."""

    phase: str  # empty, table (no numbers yet), waiting, done or error
    text: str  # what is going on, or the error; with an error what is drawn stays
    sides: list[Side]  # one or two
    empty: str | None  # the empty prompt's (77, D), as a side's values
    unlike: list[int] | None  # the rows in which two prompts differ, None for one prompt
    model: str  # what the numbers are of
    clip_skip: int
    asked: list[object]  # model and clip_skip as the form has them


class NearValue(TypedDict):
    """The words nearest to a row."""

    row: int | None
    side: int
    text: str
    near: list[list[str | float]]


EMPTY: TokensValue = {"phase": "empty", "text": "", "sides": [], "empty": None, "unlike": None}
NO_ROW: NearValue = {"row": None, "side": 0, "text": "", "near": []}


@dataclass(kw_only=True)
class NumbersJob(JobView[TokensValue, list[Encoding]]):
    """One press on "Show the numbers"."""

    studio: PageStudio
    texts: list[str]
    model: object
    clip_skip: object
    drawn: TokensValue = field(default_factory=lambda: EMPTY)

    @property
    def unchanged(self) -> TokensValue:
        skipped: TokensValue = gr.skip()
        return skipped

    def start(self) -> Run[list[Encoding]]:
        if not self.texts:
            raise ValueError("the prompt must not be empty (type the prompt to look into)")
        sides = sides_of(self.studio, self.texts, self.model)
        self.drawn = {**EMPTY, "phase": "waiting", "sides": sides, "asked": [self.model, self.clip_skip]}
        encode: Any = self.studio.encode  # which says what is wrong with a model or a number
        return lambda on_step: [encode(text, self.model, clip_skip=self.clip_skip) for text in self.texts]

    def begun(self) -> TokensValue:
        return {**self.drawn, "text": "Reading the prompt…"}

    def waiting(self, event: Waiting) -> TokensValue:
        return {**self.drawn, "text": event.text}

    def finished(self, result: list[Encoding]) -> TokensValue:
        return {**numbers_of(self.drawn["sides"], result), "asked": self.drawn["asked"]}

    def stopped(self) -> TokensValue:
        return {**self.drawn, "phase": "table", "text": "Stopped"}

    def failed(self, message: str) -> TokensValue:
        return {**EMPTY, "phase": "error", "text": message}


@dataclass(kw_only=True)
class LookUpJob(JobView[NearValue, RowReport]):
    """One press on a row."""

    studio: PageStudio
    asked: Mapping[str, object]  # prompt, row, side, model and clip_skip, as the browser sent them

    @property
    def unchanged(self) -> NearValue:
        skipped: NearValue = gr.skip()
        return skipped

    def start(self) -> Run[RowReport]:
        look_up: Any = self.studio.look_up
        prompt, row, model = (whole_number(self.asked.get(name)) for name in ("prompt", "row", "model"))
        clip_skip = whole_number(self.asked.get("clip_skip"))

        def run(on_step: OnStep) -> RowReport:
            try:
                report: RowReport = look_up(prompt, row, model, clip_skip=clip_skip, on_step=on_step)
            except Cancelled as error:
                raise ValueError("Stopped") from error
            return report

        return run

    def begun(self) -> NearValue:
        return self._near("Reading the vocabulary…")

    def waiting(self, event: Waiting) -> NearValue:
        return self._near(event.text)

    def step(self, step: Step) -> NearValue:
        return self._near(f"Reading the vocabulary… {100 * step.fraction:.0f} %")

    def finished(self, result: RowReport) -> NearValue:
        return {**self._near(""), "near": [[word.text, word.cosine] for word in result.near]}

    def stopped(self) -> NearValue:
        return self._near("Stopped")

    def failed(self, message: str) -> NearValue:
        return self._near(message)

    def _near(self, text: str) -> NearValue:
        row, side = (whole_number(self.asked.get(name)) for name in ("row", "side"))
        return {
            "row": row if isinstance(row, int) else 0,
            "side": side if isinstance(side, int) else 0,
            "text": text,
            "near": [],
        }


def sides_of(studio: PageStudio, texts: list[str], model: object) -> list[Side]:
    """Return the tokens of prompts, without their numbers. Raise ValueError for a bad prompt or model."""
    name: Any = model  # the studio says what is wrong with it
    return [side_of(text, studio.token_table(text, name)) for text in texts]


def side_of(prompt: str, table: TokenTable) -> Side:
    """Return a prompt's rows as tokens.js draws them; of a long prompt the first MAX_WINDOWS windows."""
    rows = table.rows[: MAX_WINDOWS * len(table.rows) // table.num_chunks]
    return {
        "prompt": prompt,
        "rows": [asdict(row) for row in rows],
        "count": table.count,
        "kept": table.kept,
        "num_chunks": table.num_chunks,
        "values": None,
    }


def numbers_of(sides: list[Side], encodings: list[Encoding]) -> TokensValue:
    """Return the value that shows the numbers of prompts whose tokens are shown."""
    first = encodings[0]
    window = len(first.embeds) // first.table.num_chunks
    return {
        "phase": "done",
        "text": "",
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
