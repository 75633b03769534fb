"""The words block: the prompt as it grows, its phrases with their gains, and what they are worth.

It is a job block as result.py's is (see job.js); its value is a WordsValue, which words.js draws.
"""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TypedDict, cast

import gradio as gr

from ...queue import JobNow
from ...requests import Accepted, Finding, InterrogateResult, InterrogateStep, RankedPhrase, Score
from ..shared.files import PictureFiles
from ..shared.kept_shape import Maybe, like
from ..shared.result import duration, job_block
from ..shared.result_values import JobValue
from .search_results import Drawings, LabelledPicture, SearchResult


class Caption(TypedDict):
    """What the prompt begins with."""

    text: str
    title: str


class PhraseStep(TypedDict):
    """One step of the search: a gain for its phrases together."""

    phrases: list[str]
    gain: str  # in cosine; of mode "true" how many times likelier than the rest of its list
    title: str
    against: str  # what CLIP reads in the caption instead; "" if nothing


class ScoreText(TypedDict):
    """What a prompt is worth, in words for the person; "" for what is not known."""

    cosine: str
    rank: str
    chance: str


class PhraseGroup(TypedDict):
    """The most similar phrases of a list; a row is phrase, cosine, percentile, chance."""

    name: str
    rows: list[list[str]]


class KeptDrawings(TypedDict):
    """What was drawn with the prompt: its words, and each picture as path and label."""

    text: str
    prompt: str
    images: list[list[str]]


class KeptWords(TypedDict):
    """The part of the value that the browser keeps for a reload."""

    token: str  # names the search result on the server; "" while there is none
    mode: str  # the search's; negative words go into the negative prompt
    text: str
    prompt: str  # caption and the phrases that are on
    note: str  # one line: which CLIP, how long
    notice: str
    caption: Caption
    steps: list[PhraseStep]
    off: list[int]  # indices of the phrases that are switched off
    score: ScoreText
    curve: list[float]  # cosines from the caption to the prompt
    groups: list[PhraseGroup]
    kept_drawn: KeptDrawings | None


class WordsValue(KeptWords, JobValue):
    """What the words block shows."""

    turn: int  # the number of the press that this answers
    drawn: Drawings | None  # of "check by drawing"


NO_SCORE: ScoreText = {"cosine": "", "rank": "", "chance": ""}
EMPTY: WordsValue = {
    "phase": "empty",
    "text": "",
    "detail": "",
    "fraction": 0,
    "notice": "",
    "token": "",
    "mode": "",
    "caption": {"text": "", "title": ""},
    "steps": [],
    "off": [],
    "turn": 0,
    "prompt": "",
    "score": NO_SCORE,
    "curve": [],
    "groups": [],
    "kept_drawn": None,
    "drawn": None,
    "note": "",
}
# What the browser keeps for a reload, and of which kind it must be.
KEPT: Mapping[str, object] = {
    "token": "",
    "mode": "",
    "text": "",
    "prompt": "",
    "note": "",
    "notice": "",
    "caption": {"text": "", "title": ""},
    "steps": [{"phrases": [""], "gain": "", "title": "", "against": ""}],
    "off": [0],
    "score": NO_SCORE,
    "curve": [0.0],
    "groups": [{"name": "", "rows": [[""]]}],
    "kept_drawn": Maybe({"text": "", "prompt": "", "images": [[""]]}),
}
LARGE = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def words_block(name: str) -> gr.HTML:
    """Make the block. It triggers `toggle`, `check`, and `send_NAME` for each making tab."""
    return job_block(name, EMPTY, "interrogate/words", "toggle", "check")


def waiting(now: JobNow) -> WordsValue:
    """Draw a job that waits."""
    return {**EMPTY, "phase": "waiting", "text": now.waiting_text}


def running(step: InterrogateStep, mode: str) -> WordsValue:
    """Draw a running search with the best prompt so far."""
    curve = [] if step.caption_similarity is None else [step.caption_similarity]
    return {
        **EMPTY,
        "phase": "running",
        "text": step.text,
        "detail": _detail(step),
        "fraction": round(step.fraction, 3),
        "mode": mode,
        "caption": {"text": step.caption, "title": cosine_text(step.caption_similarity)},
        "steps": [
            {
                "phrases": list(a.phrases),
                "gain": "" if mode == "true" else number(a.gain, "+.3f"),
                "title": cosine_text(a.cosine),
                "against": "",
            }
            for a in step.accepted
        ],
        "prompt": step.prompt,
        "score": {**NO_SCORE, "cosine": "" if step.cosine is None else number(step.cosine, ".4f")},
        "curve": [*curve, *(a.cosine for a in step.accepted)],
    }


def _detail(step: InterrogateStep) -> str:
    if not step.num_steps:
        return ""
    if step.text == "Searching":
        return f"{step.step} of at most {step.num_steps} phrases"
    left = f" · {duration(step.eta_seconds)} left" if step.eta_seconds is not None else ""
    return f"{step.step:,} of {step.num_steps:,}{left}"


def finished(found: SearchResult) -> WordsValue:
    """Draw what was found, with the phrases that are on."""
    result = found.result
    scores = list(result.scores)
    caption = scores.pop(0) if result.caption_similarity is not None and scores else None
    titles = [score_title(score) for score in scores] or [cosine_text(a.cosine) for a in result.steps]
    return {
        **EMPTY,
        "phase": "stopped" if result.stopped else "done",
        "text": _summary(result),
        "fraction": 1,
        "notice": result.notice,
        "token": found.token,
        "mode": result.request.mode,
        "caption": {"text": result.caption, "title": score_title(caption) if caption else ""},
        "steps": [
            phrase_step(accepted, title, result.findings)
            for accepted, title in zip(result.steps, titles, strict=True)
        ],
        "off": list(found.off),
        "prompt": found.score.prompt,
        "score": score_text(found.score),
        "curve": list(found.curve),
        "groups": [
            {"name": group.name, "rows": [[p.phrase, *_columns(p)] for p in group.phrases]}
            for group in result.groups
        ],
        "drawn": found.drawn,
        "note": f"Measured with {result.clip_model}, {result.dimensions} dimensions."
        if result.dimensions
        else "",
    }


def phrase_step(accepted: Accepted, title: str, findings: Sequence[Finding]) -> PhraseStep:
    """Draw one step with what it gained, or with how much likelier its phrase is than its rivals."""
    found = next((finding for finding in findings if finding.phrase in accepted.phrases), None)
    if found is None:
        gain, against = number(accepted.gain, "+.3f"), ""
    else:
        gain, against = f"{times(found.times)}×", found.against
        title = f"{times(found.times)} times as likely as the rest of {found.group}, {title}"
    return {"phrases": list(accepted.phrases), "gain": gain, "title": title, "against": against}


def _columns(phrase: RankedPhrase) -> list[str]:
    score = score_text(phrase)
    return [score["cosine"], score["rank"], score["chance"]]


def note(drawn: WordsValue) -> KeptWords:
    """Return what the browser shall keep of a drawn search result."""
    kept = {name: value for name, value in drawn.items() if name in KEPT}
    return cast(KeptWords, {**kept, "kept_drawn": _keep_drawn(drawn["drawn"])})


def _keep_drawn(drawn: Drawings | None) -> KeptDrawings | None:
    if drawn is None:
        return None
    images = [[picture["file"]["path"], picture["label"]] for picture in drawn["images"]]
    return {"text": drawn["text"], "prompt": drawn["prompt"], "images": images}


def restore(saved: object, files: PictureFiles) -> WordsValue | None:
    """Return the value of a search that the browser kept, None for anything else. It is not trusted."""
    try:
        kept = cast(KeptWords, like(saved, KEPT))
    except ValueError:
        return None
    drawn = _read_drawn(kept["kept_drawn"], files)
    return {**EMPTY, **kept, "kept_drawn": None, "drawn": drawn, "phase": "done", "fraction": 1}


def _read_drawn(kept: KeptDrawings | None, files: PictureFiles) -> Drawings | None:
    """Return what was drawn, if all its pictures are still there."""
    if kept is None:
        return None
    images: list[LabelledPicture] = []
    for entry in kept["images"]:
        file = files.again(entry[0]) if len(entry) == 2 else None
        if file is None:
            return None
        images.append({"file": file, "label": entry[1]})
    return {"text": kept["text"], "prompt": kept["prompt"], "images": images, "preview": None}


def _summary(result: InterrogateResult) -> str:
    count = len(result.phrases)
    phrases = "1 phrase" if count == 1 else f"{count} phrases"
    if result.stopped:
        found = f"{phrases} found" if count else "Nothing was found yet"
        return f"Stopped. {found} in {duration(result.seconds)}"
    return f"{phrases} in {duration(result.seconds)}"


# -- numbers in words


def score_text(score: Score | RankedPhrase) -> ScoreText:
    """Return a score's cosine, percentile and chance in few characters; "" for what is not known."""
    return {
        "cosine": "" if isnan(score.similarity) else number(score.similarity, ".4f"),
        "rank": percent(score.percentile),
        "chance": one_in(score.chance),
    }


def score_title(score: Score) -> str:
    """Return a score as a sentence."""
    shown = score_text(score)
    parts = [f"cosine {shown['cosine']}" if shown["cosine"] else ""]
    parts.append(f"above {shown['rank']} of random phrases" if shown["rank"] else "")
    parts.append(f"for random directions {shown['chance']}" if shown["chance"] else "")
    return ", ".join(part for part in parts if part)


def cosine_text(cosine: float | None) -> str:
    """Return "cosine 0.2431", or "" for None."""
    return "" if cosine is None else f"cosine {number(cosine, '.4f')}"


def number(value: float, form: str) -> str:
    """Return a number in Python's format, with a true minus."""
    return f"{value:{form}}".replace("-", "−")


def times(value: float) -> str:
    """Return 1.3, 24 or "over 1,000"."""
    return "over 1,000" if value > 1000 else f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def percent(value: float) -> str:
    """Return 99.8 %, with as many decimals as tell it from 100 %; "" for NaN."""
    if isnan(value):
        return ""
    return "100 %" if value == 100 else f"{value:.2f} %" if value >= 99.9 else f"{value:.1f} %"


def one_in(chance: float) -> str:
    """Return 1 in 12,000; 1 in 8.3 million; 1 in 10¹⁷ for what has no name; 12 % if it is not rare."""
    if isnan(chance):
        return ""
    if chance >= 0.01:
        return f"{100 * chance:.0f} %"
    if chance <= 0:
        return "never"  # smaller than a float can say
    times = 1 / chance
    if times >= 1e15:
        return "1 in 10" + f"{times:e}".partition("e+")[2].lstrip("0").translate(DIGITS)
    if times < 1e6:
        return f"1 in {float(f'{times:.2g}'):,.0f}"
    size, word = next((size, word) for size, word in LARGE if times >= size)
    return f"1 in {times / size:.2g} {word}" if times < 100 * size else f"1 in {times / size:.0f} {word}"
