"""The jobs of the view "Find words": search, switch phrases, check by drawing; and what the block shows."""

from dataclasses import dataclass, field
from typing import cast

import gradio as gr
from PIL import Image

from ...queue import JobNow
from ...requests import InterrogateResult, InterrogateStep, Score, Txt2ImgRequest
from ..shared.files import PictureFiles
from ..shared.job_events import Asked, JobView
from ..shared.result import duration, preview_url, progress_detail
from . import check_drawing as checking
from . import words
from .search_results import SearchResult, SearchResults

# The value of the words block, and at last what the browser keeps; either may be gr.skip().
Shown = tuple[words.WordsValue, words.KeptWords]
SEARCH, SWITCH, CHECK = "interrogate", "switch", "check"  # the kinds of job


def show(found: SearchResult) -> Shown:
    """Show what was found, and keep it."""
    drawn = words.finished(found)
    return drawn, words.note(drawn)


def summary_of(shown: Shown) -> str:
    """Return what the line says of what was found."""
    return shown[0]["prompt"]


@dataclass(frozen=True, kw_only=True)
class AskedOfWords:
    """What the words block asks for: the search it shows, and what a press on a phrase wants."""

    token: str = ""
    off: tuple[int, ...] = ()  # phrases to switch off
    turn: int = 0  # the number of the press


def read_asked(value: object) -> AskedOfWords:
    """Read the block's value as it came from the browser; what it does not say stays empty."""
    match value:
        case {"token": str(token), "asked": list(off), "turn": int(turn)}:
            indices = {index for index in off if isinstance(index, int)}
            return AskedOfWords(token=token, off=tuple(sorted(indices)), turn=abs(turn))
        case {"token": str(token)}:
            return AskedOfWords(token=token)
    return AskedOfWords()


@dataclass(kw_only=True)
class SearchJob(JobView[Shown]):
    """One press on Interrogate."""

    def waiting(self, now: JobNow) -> Shown:
        return words.waiting(now), gr.skip()

    def running(self, now: JobNow) -> Shown:
        if not isinstance(now.step, InterrogateStep):
            return {**words.EMPTY, "phase": "running", "text": "Starting"}, gr.skip()
        return words.running(now.step, now.request.mode if now.request else ""), gr.skip()

    def finished(self, now: JobNow) -> Shown:
        return cast(Shown, now.outcome)

    def stopped(self, now: JobNow) -> Shown:
        return {**words.EMPTY, "phase": "stopped", "text": "Stopped before it began"}, gr.skip()

    def failed(self, message: str, now: JobNow | None) -> Shown:
        return {**words.EMPTY, "phase": "error", "text": message}, gr.skip()


@dataclass(frozen=True, kw_only=True)
class SwitchAsked:
    """Which phrases of a search shall be on."""

    result: InterrogateResult
    on: tuple[int, ...]


@dataclass(kw_only=True)
class SwitchJob(JobView[Shown]):
    """One press on a phrase: the prompt's cosine with the phrases that shall be on."""

    asked: AskedOfWords
    results: SearchResults
    # What stays on the page meanwhile, or if it fails.
    shown: words.WordsValue = field(default_factory=lambda: words.EMPTY)

    def ask(self) -> Asked:
        """Find the search that the press is about; raise ValueError if it is not kept any more."""
        found = self.results.get(self.asked.token)
        self.shown = words.finished(found)
        phrases = range(len(found.result.phrases))
        on = tuple(index for index in phrases if index not in self.asked.off)
        title = "The prompt without some of its phrases"
        return Asked(kind=SWITCH, request=SwitchAsked(result=found.result, on=on), title=title)

    def waiting(self, now: JobNow) -> Shown:
        return {**self.shown, "text": now.waiting_text}, gr.skip()

    def running(self, now: JobNow) -> Shown:
        return self.shown, gr.skip()

    def finished(self, now: JobNow) -> Shown:
        found = self.results.switch(self.asked.token, cast(Score, now.outcome), self.asked.off)
        drawn: words.WordsValue = {**words.finished(found), "turn": self.asked.turn}
        return drawn, words.note(drawn)

    def stopped(self, now: JobNow) -> Shown:
        return {**self.shown, "turn": self.asked.turn}, gr.skip()

    def failed(self, message: str, now: JobNow | None) -> Shown:
        return {**self.shown, "phase": "error", "text": message, "turn": self.asked.turn}, gr.skip()


@dataclass(frozen=True, kw_only=True)
class CheckAsked:
    """The pictures that shall be drawn, and what they are compared with."""

    drawing: Txt2ImgRequest
    image: Image.Image
    clip_model: str


@dataclass(kw_only=True)
class CheckJob(JobView[Shown]):
    """One press on "check by drawing": four pictures of the prompt, each compared with the person's own."""

    token: str
    results: SearchResults
    preview: str | None = None

    @property
    def found(self) -> SearchResult | None:
        """Return the search that is checked, if it is still kept."""
        try:
            return self.results.get(self.token)
        except ValueError:
            return None

    @property
    def shown(self) -> words.WordsValue:
        found = self.found
        return words.finished(found) if found else words.EMPTY

    def waiting(self, now: JobNow) -> Shown:
        return {**self.shown, "phase": "waiting", "text": now.waiting_text}, gr.skip()

    def running(self, now: JobNow) -> Shown:
        found, step = self.found, now.step
        begun: words.WordsValue = {**self.shown, "phase": "running", "text": "Starting"}
        if found is None or step is None:
            return begun, gr.skip()
        self.preview = preview_url(step.preview) if step.preview else self.preview
        drawn: words.WordsValue = {
            **begun,
            "text": step.text,
            "detail": progress_detail(step),
            "fraction": round(step.fraction, 3),
            "drawn": checking.progress(step, found.picture, self.preview),
        }
        return drawn, gr.skip()

    def finished(self, now: JobNow) -> Shown:
        found, text = self.found, cast(str, now.outcome)
        if found is None:
            return gr.skip(), gr.skip()
        value, kept = show(found)
        return {**value, "text": text}, {**kept, "text": text}

    def stopped(self, now: JobNow) -> Shown:
        return {**self.shown, "text": "Stopped before it began"}, gr.skip()

    def failed(self, message: str, now: JobNow | None) -> Shown:
        return {**self.shown, "phase": "error", "text": message}, gr.skip()


def keep_checked(checked: checking.Checked, token: str, results: SearchResults, files: PictureFiles) -> str:
    """Keep what was drawn with a search's prompt beside the search; return the line that says how it went."""
    results.draw(token, checking.drawn(checked, results.get(token).picture, files))
    took = f"Four pictures drawn in {duration(checked.drawing.seconds)}"
    return "Stopped" if checked.drawing.stopped else took
