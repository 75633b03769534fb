"""The jobs of the view "Find words": search, switch phrases, check by drawing; and what the block shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gradio as gr
from PIL import Image

from ...images import open_image
from ...requests import InterrogateRequest, InterrogateResult, InterrogateStep, Score, Step, Txt2ImgRequest
from ..shared.components import NamedFile
from ..shared.files import PictureFiles
from ..shared.job_events import JobView
from ..shared.job_queue import Run, Waiting, make_run
from ..shared.result import duration, preview_url, progress_detail
from ..shared.studio_protocol import OnStep
from . import check_drawing as checking
from . import words
from .search_results import SearchResult, SearchResults

# The value of the words block, and at last what the browser keeps; either may be gr.skip().
Shown = tuple[words.WordsValue, words.KeptWords]
Interrogate = Callable[[InterrogateRequest, OnStep], InterrogateResult]
ScorePhrases = Callable[[InterrogateResult, Sequence[int]], Score]


def show(found: SearchResult) -> Shown:
    """Show what was found, and keep it."""
    drawn = words.finished(found)
    return drawn, words.note(drawn)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the words block asks for: the search it shows, and what a press on a phrase wants."""

    token: str = ""
    off: tuple[int, ...] = ()  # phrases to switch off
    turn: int = 0  # the number of the press


def read_asked(value: object) -> Asked:
    """Read the block's value as it came from the browser; what it does not say stays empty."""
    match value:
        case {"token": str(token), "asked": list(off), "turn": int(turn)}:
            indices = {index for index in off if isinstance(index, int)}
            return Asked(token=token, off=tuple(sorted(indices)), turn=abs(turn))
        case {"token": str(token)}:
            return Asked(token=token)
    return Asked()


@dataclass(kw_only=True)
class SearchJob(JobView[Shown, InterrogateResult]):
    """One press on Interrogate."""

    read: Callable[[], tuple[InterrogateRequest, NamedFile]]  # the request, and its picture as it is shown
    interrogate: Interrogate
    results: SearchResults
    picture: NamedFile | None = None
    mode: str = ""

    @property
    def unchanged(self) -> Shown:
        return gr.skip(), gr.skip()

    def start(self) -> Run[InterrogateResult]:
        request, self.picture = self.read()
        self.mode = request.mode
        return make_run(self.interrogate, request)

    def waiting(self, event: Waiting) -> Shown:
        return words.waiting(event), gr.skip()

    def step(self, step: Step) -> Shown:
        return words.running(step, self.mode) if isinstance(step, InterrogateStep) else gr.skip(), gr.skip()

    def finished(self, result: InterrogateResult) -> Shown:
        assert self.picture
        return show(self.results.add(result, self.picture))

    def stopped(self) -> Shown:
        return {**words.EMPTY, "phase": "stopped", "text": "Stopped before it began"}, gr.skip()

    def failed(self, message: str) -> Shown:
        return {**words.EMPTY, "phase": "error", "text": message}, gr.skip()


@dataclass(kw_only=True)
class SwitchJob(JobView[Shown, Score]):
    """One press on a phrase: the prompt's cosine with the phrases that shall be on."""

    asked: Asked
    score: ScorePhrases
    results: SearchResults
    shown: words.WordsValue = field(
        default_factory=lambda: words.EMPTY
    )  # what stays on the page meanwhile, or if it fails

    @property
    def unchanged(self) -> Shown:
        return gr.skip(), gr.skip()

    def start(self) -> Run[Score]:
        found = self.results.get(self.asked.token)
        self.shown = words.finished(found)
        on = [index for index in range(len(found.result.phrases)) if index not in self.asked.off]
        return lambda on_step: self.score(found.result, on)

    def waiting(self, event: Waiting) -> Shown:
        return {**self.shown, "text": event.text}, gr.skip()

    def finished(self, result: Score) -> Shown:
        found = self.results.switch(self.asked.token, result, self.asked.off)
        drawn: words.WordsValue = {**words.finished(found), "turn": self.asked.turn}
        return drawn, words.note(drawn)

    def stopped(self) -> Shown:
        return {**self.shown, "turn": self.asked.turn}, gr.skip()

    def failed(self, message: str) -> Shown:
        return {**self.shown, "phase": "error", "text": message, "turn": self.asked.turn}, gr.skip()


@dataclass(kw_only=True)
class CheckJob(JobView[Shown, checking.Checked]):
    """One press on "check by drawing": four pictures of the prompt, each compared with the person's own."""

    asked: Asked
    ask: Callable[[str], Txt2ImgRequest]  # for the pictures of a prompt; raises ValueError
    draw: checking.Draw
    compare: checking.Compare
    results: SearchResults
    files: PictureFiles
    max_pixels: int
    shown: words.WordsValue = field(default_factory=lambda: words.EMPTY)
    found: SearchResult | None = None
    preview: str | None = None

    @property
    def unchanged(self) -> Shown:
        return gr.skip(), gr.skip()

    def start(self) -> Run[checking.Checked]:
        self.found = found = self.results.get(self.asked.token)
        self.shown = words.finished(found)
        request = self.ask(found.score.as_prompt)
        return checking.check_run(
            self.draw, self.compare, request, self._open(found), found.result.clip_model
        )

    def _open(self, found: SearchResult) -> Image.Image:
        return open_image(self.files.uploaded(found.picture["file"]["path"]), max_pixels=self.max_pixels)

    def waiting(self, event: Waiting) -> Shown:
        return {**self.shown, "phase": "waiting", "text": event.text}, gr.skip()

    def step(self, step: Step) -> Shown:
        assert self.found
        self.preview = preview_url(step.preview) if step.preview else self.preview
        drawn: words.WordsValue = {
            **self.shown,
            "phase": "running",
            "text": step.text,
            "detail": progress_detail(step),
            "fraction": round(step.fraction, 3),
            "drawn": checking.progress(step, self.found.picture, self.preview),
        }
        return drawn, gr.skip()

    def finished(self, result: checking.Checked) -> Shown:
        assert self.found
        drawn = checking.drawn(result, self.found.picture, self.files)
        value, kept = show(self.results.draw(self.found.token, drawn))
        took = f"Four pictures drawn in {duration(result.drawing.seconds)}"
        text = "Stopped" if result.drawing.stopped else took
        return {**value, "text": text}, {**kept, "text": text}

    def stopped(self) -> Shown:
        return {**self.shown, "text": "Stopped before it began"}, gr.skip()

    def failed(self, message: str) -> Shown:
        return {**self.shown, "phase": "error", "text": message}, gr.skip()
