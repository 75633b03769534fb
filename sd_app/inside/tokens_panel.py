"""The panel of how the words were cut: sheet, table, and what the page draws."""

from collections.abc import Sequence
from textwrap import wrap

from PIL import Image, ImageDraw

from ..requests import LookAnswer
from ..requests.text import PADDING, TEXT
from .actions import Action, Given
from .look import Looked
from .panel import EXACT, Panel, PanelFiles
from .sheets import font
from .tokens import CutPrompts, CutText, cut_prompts, shortened, why_no_words, windows_of

MOST_WINDOWS = 12  # of a text that are drawn; the table has all
BYTES = "·"  # stands for a token that is only some bytes of a character
_WIDTH, _PAD, _CHIP, _GAP, _LINE = 960, 12, 36, 8, 17  # pixels of the sheet
_INK, _SOFT = (20, 24, 28), (110, 116, 122)
_TINTS = ((204, 238, 232), (226, 232, 244))  # words take turns, so that pieces of one are seen as one
_MARK, _LEARNED = (238, 238, 238), (250, 226, 190)


def title_of(text: CutText) -> str:
    """Name a text: which prompt, when it is read, and how much it weighs."""
    name = "The negative prompt" if text.negative else "The prompt"
    if text.steps:
        stretches = ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in text.steps)
        one = len(text.steps) == 1 and text.steps[0][0] == text.steps[0][1]
        name += f" at step{'' if one else 's'} {stretches}"
    return name + (f", weight {text.weight:g}" if text.weight != 1 else "")


def count_of(text: CutText) -> str:
    """Say how many tokens, windows and rows of padding a text has."""
    tokens, windows = text.num_tokens, text.num_windows
    if not text.text.strip():
        return f"no words, only marks and {text.num_padding} rows of padding."
    words = f"{tokens} token{'' if tokens == 1 else 's'} in {_counted(windows, 'window')}"
    return f"{words} of 75, and {text.num_padding} rows of padding."


def piece_of(text: CutText, index: int) -> str:
    """Return what is written on a row's chip."""
    row, token = text.rows[index], text.tokens[index]
    if row.kind == TEXT:
        return token.learned if token and token.learned else row.text or BYTES
    return f"padding × {row.count}" if row.kind == PADDING else row.kind


def number_of(text: CutText, index: int) -> int | None:
    """Return a token's number in the vocabulary; None for a learned word's vector, or if unknown."""
    token = text.tokens[index]
    return None if token is None or token.learned else token.id


def about(text: CutText, index: int) -> str:
    """Say all of a row: its token, its word, its place, its weight."""
    row, number = text.rows[index], number_of(text, index)
    window = f" of window {row.chunk + 1}" if text.num_windows > 1 else ""
    named = [] if number is None else [f"token {number}"]
    place = f"row {row.position}{window}"
    if row.kind == PADDING:
        if row.count > 1:
            place = f"rows {row.position} to {row.position + row.count - 1}{window}"
        return f"Padding: {', '.join([*named, place])}. The picture reads these rows too."
    if row.kind != TEXT:
        return f"{row.kind.capitalize()} mark: {', '.join([*named, place])}."
    parts = [*named, _part_of_word(text, index)]
    if index in text.slots:
        parts.append(f"in the place of {text.slots[index]}, whose first phrase is shown")
    parts.append(place)
    if row.weight != 1:
        parts.append(f"weight {row.weight:.4g}")
    return f"“{piece_of(text, index)}”: {', '.join(parts)}."


def _part_of_word(text: CutText, index: int) -> str:
    """Say which part of a word a token is."""
    word, token = text.word_of[index], text.tokens[index]
    if token and token.learned:
        return f"vector {token.vector + 1} of {len(word.rows)} of a learned word, in place of a token"
    if len(word.rows) > 1:
        part = f"piece {word.rows.index(index) + 1} of {len(word.rows)} of the word “{shortened(word.text)}”"
        return part if text.rows[index].text else f"bytes of a character, {part}"
    return "a whole word" if any(letter.isalnum() for letter in word.text) else "a sign of its own"


def said_of(cut: CutPrompts) -> list[str]:
    """Return what was found, a sentence each."""
    said = [cut.sentence, *(f"{title_of(text)}: {count_of(text)}" for text in cut.texts)]
    if split := cut.split_words:
        more = f", and {len(split) - 12} more" if len(split) > 12 else ""
        said.append(f"Cut into several tokens: {', '.join(split[:12])}{more}.")
    return [*said, *cut.said]


# -- files


def make_tokens(looked: Looked) -> PanelFiles:
    """Make the sheet of all texts and the table of all rows."""
    cut = cut_prompts(looked)
    return PanelFiles(pictures={"sheet": draw(cut)}, tables={"rows": table(cut)}, said=said_of(cut))


def table(cut: CutPrompts) -> list[list[object]]:
    """Return a row for each row that is read; the padding of a window is one."""
    rows: list[list[object]] = [
        [
            *("prompt", "text", "steps", "text_weight", "window", "row", "rows", "kind", "piece"),
            *("token", "word", "word_number", "pieces", "weight", "learned_word", "vector", "slot"),
        ]
    ]
    for number, text in enumerate(cut.texts, 1):
        steps = " ".join(f"{a}-{b}" for a, b in text.steps) or "all"
        numbers = {row: at for at, word in enumerate(text.words, 1) for row in word.rows}
        for index, row in enumerate(text.rows):
            token, word, is_text = text.tokens[index], text.word_of[index], row.kind == TEXT
            learned = token.learned if token else ""
            rows.append(
                [
                    *("negative" if text.negative else "prompt", number, steps, text.weight),
                    *(row.chunk + 1, row.position, row.count, row.kind, row.text),
                    "" if (one := number_of(text, index)) is None else one,
                    *(word.text if is_text else "", numbers[index], len(word.rows), row.weight),
                    *(learned, token.vector + 1 if token and learned else "", text.slots.get(index, "")),
                ]
            )
    return rows


def draw(cut: CutPrompts) -> Image.Image:
    """Draw every text as its pieces, each with its number below, in windows."""
    parts = [(text, index) for text in cut.texts for index in range(min(text.num_windows, MOST_WINDOWS))]
    page = Image.new("RGB", (_WIDTH, 100), "white")
    tall = _draw_all(page, cut, parts)
    page = Image.new("RGB", (_WIDTH, tall), "white")
    _draw_all(page, cut, parts)
    return page


def _draw_all(page: Image.Image, cut: CutPrompts, parts: Sequence[tuple[CutText, int]]) -> int:
    """Draw on a page, and return how tall it must be."""
    ink = ImageDraw.Draw(page)
    top = _lines(ink, f"How the words were cut. {cut.sentence}", _PAD, _INK)
    for text, window in parts:
        if window == 0:
            top = _lines(ink, f"{title_of(text)}: {count_of(text)}", top + 10, _INK)
        if text.num_windows > 1:
            top = _lines(ink, f"Window {window + 1}", top + 4, _SOFT)
        top = _chips(ink, text, windows_of(text)[window], top + 2)
        if window + 1 == MOST_WINDOWS < text.num_windows:
            rest = text.num_windows - MOST_WINDOWS
            top = _lines(ink, f"and {_counted(rest, 'window')} more: the table has all.", top + 4, _SOFT)
    return top + _PAD


def _lines(ink: ImageDraw.ImageDraw, words: str, top: int, color: tuple[int, int, int]) -> int:
    for line in wrap(words, _WIDTH // 8):
        ink.text((_PAD, top), line, fill=color, font=font())
        top += _LINE
    return top


def _chips(ink: ImageDraw.ImageDraw, text: CutText, rows: Sequence[int], top: int) -> int:
    left, of_word = _PAD, {row: at for at, word in enumerate(text.words) for row in word.rows}
    for index in rows:
        row, number = text.rows[index], number_of(text, index)
        label = piece_of(text, index) + (f" ×{row.weight:.4g}" if row.weight != 1 else "")
        small = "" if number is None else str(number)
        wide = round(max(ink.textlength(label, font=font()), ink.textlength(small, font=font()))) + 12
        begins = index != text.word_of[index].rows[0]
        left += 0 if begins else _GAP
        if left + wide > _WIDTH - _PAD:
            left, top = _PAD + _GAP, top + _CHIP + 6
        token = text.tokens[index]
        color = _MARK if row.kind != TEXT else _TINTS[of_word[index] % len(_TINTS)]
        ink.rectangle(
            (left, top, left + wide, top + _CHIP),
            fill=_LEARNED if token and token.learned else color,
            outline=(255, 255, 255),
        )
        ink.text((left + 6, top + 3), label, fill=_INK, font=font())
        ink.text((left + 6, top + 19), small, fill=_SOFT, font=font())
        left += wide
    return top + _CHIP + 6


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# -- on the page


def begin(looked: Looked, given: Given) -> LookAnswer:
    """Return all texts with their windows and rows, and what was found."""
    cut = cut_prompts(looked)
    return LookAnswer(
        numbers={"texts": [_text_numbers(text) for text in cut.texts], "said": said_of(cut)[:1] + _more(cut)}
    )


def _more(cut: CutPrompts) -> list[str]:
    """Return what is said below the first sentence; each text has its count above it."""
    return said_of(cut)[1 + len(cut.texts) :]


def _text_numbers(text: CutText) -> dict[str, object]:
    of_word = {row: at for at, word in enumerate(text.words) for row in word.rows}
    windows = [
        [
            {
                "kind": text.rows[index].kind,
                "piece": piece_of(text, index),
                "number": number_of(text, index),
                "weight": text.rows[index].weight,
                "word": of_word[index],
                "begins": index == text.word_of[index].rows[0],
                "learned": bool((token := text.tokens[index]) and token.learned),
                "slot": index in text.slots,
                "about": about(text, index),
            }
            for index in rows
        ]
        for rows in windows_of(text)[:MOST_WINDOWS]
    ]
    more = text.num_windows - len(windows)
    return {
        "title": title_of(text),
        "count": count_of(text),
        "windows": windows,
        "more": f"and {_counted(more, 'window')} more: the CSV has all." if more else "",
    }


PANEL = Panel(
    name="tokens",
    title="How the words were cut",
    seen="Each piece is one token, with its number in the model's vocabulary; pieces of one word touch. The"
    " model reads 77 rows a window: a start mark, up to 75 tokens, an end mark, and padding for the rest.",
    not_shown="It does not show what a token means to the model: its number is only its place in a list.",
    formula="Byte pairs are joined in the order in which the tokenizer learned to (Sennrich et al. 2016, over"
    " bytes, as CLIP does); after 75 tokens a new window begins, at a comma if one of the last 20 is one, or"
    " where BREAK stands. A weight multiplies the rows of its tokens; then the window's mean is put back.",
    exactness=EXACT,
    make=make_tokens,
    make_of_picture=make_tokens,
    why_not_alone=why_no_words,
    actions=(Action(name="begin", answer=begin, runs=False, of_picture=begin),),
)
