"""The jobs of the token view: the numbers of a prompt or two, and the words nearest to one row."""

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict, cast

import numpy as np

from ...queue import JobNow, JobQueue, Kind
from ...requests import Encoding, RowReport, TokenTable
from ..shared.form import whole_number
from ..shared.job_events import Asked, JobView
from ..shared.studio_protocol import OnStep, PageStudio

TAB = "tokens"
NUMBERS, LOOK_UP = "numbers", "look_up"  # the kinds of job
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


@dataclass(frozen=True, kw_only=True)
class NumbersAsked:
    """Which prompts' numbers are asked for."""

    texts: list[str]
    model: object
    clip_skip: object


def register_kinds(queue: JobQueue, studio: PageStudio) -> None:
    """Tell the queue how the token view's jobs are run."""
    # They say themselves what is wrong with a model or a number.
    encode: Any = studio.encode
    look_up: Any = studio.look_up

    def numbers(asked: NumbersAsked, on_step: OnStep) -> list[Encoding]:
        return [encode(text, asked.model, clip_skip=asked.clip_skip) for text in asked.texts]

    def row(asked: Mapping[str, object], on_step: OnStep) -> RowReport:
        prompt, number, model = (whole_number(asked.get(name)) for name in ("prompt", "row", "model"))
        clip_skip = whole_number(asked.get("clip_skip"))
        report: RowReport = look_up(prompt, number, model, clip_skip=clip_skip, on_step=on_step)
        return report

    queue.register(Kind(name=NUMBERS, make=numbers, tab=TAB, passing=True))
    queue.register(Kind(name=LOOK_UP, make=row, tab=TAB, passing=True))


@dataclass(kw_only=True)
class NumbersJob(JobView[TokensValue]):
    """One press on "Show the numbers"."""

    studio: PageStudio
    asked: NumbersAsked
    drawn: TokensValue = field(default_factory=lambda: EMPTY)

    def ask(self) -> Asked:
        """Read the prompts' tokens; raise ValueError for what cannot be read."""
        texts, model, clip_skip = self.asked.texts, self.asked.model, self.asked.clip_skip
        if not texts:
            raise ValueError("the prompt must not be empty (type the prompt to look into)")
        sides = sides_of(self.studio, texts, model)
        self.drawn = {**EMPTY, "phase": "waiting", "sides": sides, "asked": [model, clip_skip]}
        return Asked(kind=NUMBERS, request=self.asked, title=texts[0])

    def begun(self) -> TokensValue:
        return {**self.drawn, "text": "Reading the prompt…"}

    def waiting(self, now: JobNow) -> TokensValue:
        return {**self.drawn, "text": now.waiting_text}

    def running(self, now: JobNow) -> TokensValue:
        return self.begun()

    def finished(self, now: JobNow) -> TokensValue:
        encodings = cast(list[Encoding], now.outcome)
        return {**numbers_of(self.drawn["sides"], encodings), "asked": self.drawn["asked"]}

    def stopped(self, now: JobNow) -> TokensValue:
        return {**self.drawn, "phase": "table", "text": "Stopped"}

    def failed(self, message: str, now: JobNow | None) -> TokensValue:
        return {**EMPTY, "phase": "error", "text": message}


@dataclass(kw_only=True)
class LookUpJob(JobView[NearValue]):
    """One press on a row."""

    asked: Mapping[str, object]  # prompt, row, side, model and clip_skip, as the browser sent them

    def ask(self) -> Asked:
        return Asked(kind=LOOK_UP, request=self.asked, title="The words nearest to a token")

    def begun(self) -> NearValue:
        return self._near("Reading the vocabulary…")

    def waiting(self, now: JobNow) -> NearValue:
        return self._near(now.waiting_text)

    def running(self, now: JobNow) -> NearValue:
        share = f" {100 * now.step.fraction:.0f} %" if now.step else ""
        return self._near(f"Reading the vocabulary…{share}")

    def finished(self, now: JobNow) -> NearValue:
        report = cast(RowReport, now.outcome)
        return {**self._near(""), "near": [[word.text, word.cosine] for word in report.near]}

    def stopped(self, now: JobNow) -> NearValue:
        return self._near("Stopped")

    def failed(self, message: str, now: JobNow | None) -> NearValue:
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
