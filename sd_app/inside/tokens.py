"""How the words were cut: the rows of each text that the text encoder reads, 77 a window. Runs nothing.

The tokenizer alone is asked, no weights. Where attention was recorded, its rows are those that were read, and
the tokenizer has the last word on nothing but the tokens' numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..addons import words_of
from ..catalog import find_model
from ..checkpoints.model_info import ModelInfo
from ..expressions import has_slots
from ..expressions.vocabulary import unseen_sentence
from ..metadata import parse_infotext, read_parameters
from ..probes.recorder import kept_rows
from ..probes.recording import ReadText, Recording, Row, Word
from ..requests import TokenRow
from ..requests.text import PADDING, TEXT
from ..text.prompts import token_table
from ..text.token_reports import stretches
from ..text.unseen import find_unseen
from ..weights.model_manager import ModelManager
from .look import Look, Looked, PictureAlone
from .prompt_words import SLOT, PromptReader, find_words, reader_of

MOST_LETTERS = 24  # of a word that is written out

NO_WORDS_IN_FILE = "There are no words in this file: it holds no parameters."
EMPTY_FILE = "There are no words in this file: its parameters hold an empty prompt."
NOT_GUIDED = (
    "The negative prompt was not read: there was no guidance in this run, so no half without the prompt."
)
CHANGED = (
    "The tokenizer or a learned word has changed since: what is shown is what the recording holds, without"
    " the tokens' numbers."
)
RECORDED_ALONE = (
    "The model is not here any more: what is shown is what the recording holds, without the tokens' numbers"
    " and the negative prompt."
)
ZEROS = "SDXL reads an empty negative prompt as nothing but zeros, not as these rows."
TWICE = "Both text encoders of SDXL read these tokens; the second one pads with another token."


@dataclass(frozen=True, kw_only=True)
class CutText:
    """One of the texts that are read, as rows: marks, tokens, and the padding of each window as one."""

    text: str
    rows: tuple[Row, ...]
    # Of each row the token, None where it is known from the recording alone; of padding the first.
    tokens: tuple[TokenRow | None, ...]
    negative: bool = False
    weight: float = 1.0  # among those joined by AND
    steps: tuple[tuple[int, int], ...] = ()  # first and last of each stretch, from 1; none: at all
    slots: Mapping[int, str] = field(default_factory=dict)  # row -> the slot in whose place it stands

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """Return the words, with marks and padding as words of their own."""
        return ReadText(text=self.text, calls=(), rows=self.rows).words

    @cached_property
    def word_of(self) -> Mapping[int, Word]:
        """Return which word each row belongs to."""
        return {row: word for word in self.words for row in word.rows}

    @property
    def num_windows(self) -> int:
        """Return of how many windows of 77 rows it is read."""
        return 1 + max(row.chunk for row in self.rows)

    @property
    def num_tokens(self) -> int:
        """Return the number of its tokens, without marks and padding."""
        return sum(row.kind == TEXT for row in self.rows)

    @property
    def num_padding(self) -> int:
        """Return the number of rows of padding in all windows."""
        return sum(row.count for row in self.rows if row.kind == PADDING)


@dataclass(frozen=True, kw_only=True)
class CutPrompts:
    """Both prompts of a picture, cut."""

    texts: tuple[CutText, ...]
    sentence: str  # by what they were cut
    said: tuple[str, ...] = ()

    @property
    def split_words(self) -> tuple[str, ...]:
        """Return the words of several tokens, each with its pieces: unicorn (uni·corn)."""
        found: dict[str, None] = {}
        for text in self.texts:
            for word in text.words:
                first = text.tokens[word.rows[0]]
                if word.kind == TEXT and len(word.rows) > 1 and not (first and first.learned):
                    found[_with_pieces(word.text, [text.rows[row].text for row in word.rows])] = None
        return tuple(found)


def _with_pieces(word: str, pieces: Sequence[str]) -> str:
    """Write a word with its pieces, or their number where some are bytes of a character, or they are many."""
    is_plain = all(pieces) and len(word) <= MOST_LETTERS
    return f"{shortened(word)} ({'·'.join(pieces) if is_plain else f'{len(pieces)} tokens'})"


def shortened(word: str) -> str:
    """Return a word, or the beginning of a very long one."""
    return word if len(word) <= MOST_LETTERS else f"{word[: MOST_LETTERS - 1]}…"


def cut_prompts(looked: Looked) -> CutPrompts:
    """Cut the prompts of a recording, or of a picture's file. Raise ValueError in words."""
    return _of_recording(looked) if isinstance(looked, Look) else _of_file(looked)


def why_no_words(alone: PictureAlone) -> str:
    """Say why a picture that could not be recorded shows no words; empty if it does."""
    try:
        _read(alone)
    except ValueError as error:
        return str(error)
    return ""


def cut(reader: PromptReader, prompt: str, *, num_windows: int = 1, steps_run: int = 0) -> list[CutText]:
    """Cut each text that a prompt becomes, to at least so many windows. Raise ValueError for a bad prompt."""
    at: dict[tuple[str, float], list[int]] = {}
    read = reader.read(prompt)
    for step, reading in enumerate(read[: steps_run or len(read)], 1):
        for part in zip(reading.texts, reading.weights, strict=True):
            at.setdefault(part, []).append(step)
    slots = find_words(reader, prompt, only=SLOT).words if "{" in prompt else ()
    texts: list[CutText] = []
    for (text, weight), steps in at.items():
        table = token_table(reader.tokenizer, text, reader.book, num_chunks=num_windows)
        rows = kept_rows(table)
        tokens: list[TokenRow | None] = []
        number = 0
        for row in rows:
            tokens.append(table.rows[number])
            number += row.count
        of_text = [index for index, row in enumerate(rows) if row.kind == TEXT]
        held: dict[int, str] = {}
        for slot in slots if has_slots(text) else ():
            if taken := slot.taken_from(text):
                held |= dict.fromkeys(of_text[taken.first : taken.first + taken.count], slot.text)
        texts.append(
            CutText(
                text=text,
                rows=rows,
                tokens=tuple(tokens),
                negative=reader.negative,
                weight=weight,
                steps=stretches(steps) if len(at) > 1 else (),
                slots=held,
            )
        )
    return texts


def _windows_of(reader: PromptReader, prompt: str) -> int:
    """Return how many windows the longest of a prompt's texts needs."""
    texts = {text for reading in reader.read(prompt) for text in reading.texts}
    return max(len(reader.windows(text)) for text in texts)


# -- of a recording


def _of_recording(look: Look) -> CutPrompts:
    recording, request = look.recording, look.request
    try:
        reader, negative = reader_of(look), reader_of(look, negative=True)
    except ValueError:  # the model is gone: what was read is known all the same, if attention was recorded
        if recording.attention is None:
            raise
        recorded = _of_recording_alone(recording)
        return CutPrompts(
            texts=recorded, sentence=f"Cut as {recording.facts.model} read it.", said=(RECORDED_ALONE,)
        )
    is_guided = bool(recording.guided_calls)
    if recording.attention:
        windows = 1 + max(row.chunk for text in recording.attention.texts for row in text.rows)
    else:
        both = [(reader, request.prompt), *([(negative, request.negative_prompt)] if is_guided else [])]
        windows = max(_windows_of(*one) for one in both)
    run = recording.num_steps
    texts = cut(reader, request.prompt, num_windows=windows, steps_run=run)
    said: list[str] = []
    if recording.attention:
        known = {(one.text, one.weight): one for one in recording.attention.texts}
        kept = [_as_recorded(text, known.get((text.text, text.weight))) for text in texts]
        said += [CHANGED] if kept != texts else []
        texts = kept
    if is_guided:
        texts += cut(negative, request.negative_prompt, num_windows=windows, steps_run=run)
        if recording.facts.family == "sdxl" and not request.negative_prompt.strip():
            said.append(ZEROS)
    elif request.negative_prompt.strip():
        said.append(NOT_GUIDED)
    info = find_model(look.manager.settings, request.model)
    said += _notes(look.manager, info, request.prompt, reader.steps)
    return CutPrompts(texts=tuple(texts), sentence=f"Cut as {info.name} reads it.", said=tuple(said))


def _as_recorded(cut_now: CutText, recorded: ReadText | None) -> CutText:
    """Return a text as it was read; the tokens' numbers are left out where it is cut otherwise now."""
    if recorded is None or recorded.rows == cut_now.rows:
        return cut_now
    return replace(cut_now, rows=recorded.rows, tokens=(None,) * len(recorded.rows), slots={})


def _of_recording_alone(recording: Recording) -> tuple[CutText, ...]:
    assert recording.attention
    texts, order = recording.attention.texts, recording.facts.order
    return tuple(
        CutText(
            text=one.text,
            rows=one.rows,
            tokens=(None,) * len(one.rows),
            weight=one.weight,
            steps=stretches([call // order + 1 for call in one.calls]) if len(texts) > 1 else (),
        )
        for one in texts
    )


def _notes(manager: ModelManager, info: ModelInfo, prompt: str, steps: int) -> list[str]:
    """Say what else is to be known of how a model reads."""
    unseen = unseen_sentence(info.name, find_unseen(manager.settings, info, prompt, steps=steps))
    return [*([TWICE] if info.family == "sdxl" else []), *([unseen] if unseen else [])]


# -- of a file


@dataclass(frozen=True, kw_only=True)
class _FilePrompts:
    prompt: str
    negative_prompt: str
    model: str | None
    steps: int | None
    program: str


def _read(alone: PictureAlone) -> _FilePrompts:
    """Return the prompts in a picture's file, of any program. Raise ValueError where there are none."""
    if alone.parameters is None:
        raise ValueError(NO_WORDS_IN_FILE)
    try:
        reading = read_parameters(alone.parameters)
    except ValueError as error:
        raise ValueError(f"The words in this file cannot be read: {_first_line(error)}.") from error
    if reading.prompt is None or reading.negative_prompt is None:
        lost = next(one for one in reading.untaken if one.key in ("Prompt", "Negative prompt"))
        raise ValueError(f"The words in this file cannot be read: {lost.key} {lost.reason}.")
    if not reading.prompt.strip() and not reading.negative_prompt.strip():
        raise ValueError(EMPTY_FILE)
    is_ours = parse_infotext(alone.parameters).is_ours
    return _FilePrompts(
        prompt=reading.prompt,
        negative_prompt=reading.negative_prompt,
        model=reading.request.model,
        steps=reading.request.num_inference_steps,
        program="this app" if is_ours else reading.program or "another program",
    )


def _of_file(alone: PictureAlone) -> CutPrompts:
    found, manager = _read(alone), alone.manager
    settings = manager.settings
    by = f"the picture was made by {found.program}"
    info = find_model(settings, None)
    if found.model is None:
        by += ", and its file names no model"
    else:
        try:
            info = find_model(settings, found.model)
            by += " with this model"
        except ValueError:
            by += f" with the model {found.model[:60]}, which is not here"
    steps = found.steps or info.default_steps
    readers = [
        PromptReader(
            tokenizer=manager.tokenizer(info.name),
            book=words_of(settings, info.family, found.prompt),
            steps=steps,
            negative=negative,
        )
        for negative in (False, True)
    ]
    texts: list[CutText] = []
    try:
        both = list(zip(readers, (found.prompt, found.negative_prompt), strict=True))
        windows = max(_windows_of(*one) for one in both)
        for reader, text in both:
            texts += cut(reader, text, num_windows=windows)
    except ValueError as error:
        raise ValueError(f"The words in this file cannot be cut: {_first_line(error)}.") from error
    said = ["How many steps it took is not known here, so where its words change may be off."]
    changes = any(text.steps for text in texts) and found.steps is None
    return CutPrompts(
        texts=tuple(texts),
        sentence=f"Cut as {info.name} reads it; {by}.",
        said=(*(said if changes else ()), *_notes(manager, info, found.prompt, steps)),
    )


def _first_line(error: ValueError) -> str:
    """Return what is wrong, without the lines that point at a character."""
    return str(error).split("\n")[0].rstrip(".")


def windows_of(text: CutText) -> list[Sequence[int]]:
    """Return the rows of each window, in their order."""
    windows: list[list[int]] = [[] for _ in range(text.num_windows)]
    for index, row in enumerate(text.rows):
        windows[row.chunk].append(index)
    return list(windows)
