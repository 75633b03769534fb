"""The panels of words: what each one did, the pictures without it, attention, and where meaning is kept."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..probes.recording import Recording
from ..requests.text import TEXT
from .again import Again, without_words
from .attention_words import Agreement, AttentionWords, agreement, attention_heads, attention_words
from .closed_rows import GROUPS, with_closed_rows
from .look import Look
from .panel import EXACT, MEASURED, Panel, PanelFiles
from .prompt_words import FoundWords, words_in
from .sheets import color_of, heat, legend, owned, sheet, shown, tile_size
from .word_actions import ATTENTION_ACTIONS, KEPT_ACTIONS, NO_WORD, WORD_ACTIONS, found_words
from .word_effects import LITTLE, WordEffects, effects_of

MOST_RUNS = 24  # pictures without a word that a panel makes

EMPTY = "The prompt is empty: there is no word to take out."
NO_ATTENTION = "Attention was not recorded in this run: record it again with attention."

# -- what each word did


def make_words(look: Look) -> PanelFiles:
    """Make the maps of all words on one scale, who owns which place, and the same of the negative prompt."""
    effects = effects_of(look)
    if not effects.words:
        raise ValueError(NO_WORD)
    pictures = {"maps": maps_sheet(look, effects), "owners": owners_sheet(look, effects)}
    arrays: dict[str, np.ndarray] = {
        "maps": effects.maps,
        "by_call": effects.by_call,
        "owners": effects.owners,
    }
    tables = {"totals": totals_table(effects), "places": places_table(effects)}
    said = [*effects.notes, *_little(effects)]
    if look.request.negative_prompt.strip() and look.recording.guided_calls:
        negative = effects_of(look, negative=True)
        if negative.words:
            pictures["negative"] = maps_sheet(look, negative)
            arrays["negative_maps"] = negative.maps
            tables["negative_totals"] = totals_table(negative)
            said += negative.notes
    return PanelFiles(pictures=pictures, arrays=arrays, tables=tables, said=said)


def _little(effects: WordEffects) -> list[str]:
    if not effects.little:
        return []
    return [f"Did almost nothing, less than a tenth of the strongest: {', '.join(effects.little)}."]


def maps_sheet(look: Look, effects: WordEffects) -> Image.Image:
    """Draw every word's map beside the picture, all on one scale."""
    picture = look.recording.decoded
    size, limit = tile_size(picture), float(np.quantile(effects.maps.max(axis=0), 0.99))
    tiles = [("the picture", shown(picture, size))]
    for label, values, total in zip(effects.labels, effects.maps, effects.totals, strict=True):
        note = " (almost nothing)" if label in effects.little else ""
        tiles.append((f"{label}: {total:.2f}{note}", heat(values, limit, size)))
    which = "negative prompt" if effects.negative else "prompt"
    title = f"How far each word of the {which} moved the predicted picture (x0 units, bright: {limit:.2f})"
    return sheet(tiles, title=title)


def owners_sheet(look: Look, effects: WordEffects) -> Image.Image:
    """Draw who owns each place beside the picture, with the words' colours."""
    picture = look.recording.decoded
    size = tile_size(picture)
    counts = np.bincount(effects.owners.ravel(), minlength=len(effects.words))
    known = [
        (color_of(word), f"{effects.labels[word]}: {counts[word]} of {effects.owners.size}")
        for word in np.argsort(-counts, kind="stable")
        if counts[word]
    ]
    tiles = [
        ("the picture", shown(picture, size)),
        (
            "the word that moved each place most; faint where none moved it far",
            owned(effects.owners, effects.strength, size),
        ),
        ("places", legend(known, size)),
    ]
    return sheet(tiles, title="Who owns this place")


def totals_table(effects: WordEffects) -> list[list[object]]:
    """Return a row a word: its total, its share of all, the places it owns, and whether it did little."""
    counts = np.bincount(effects.owners.ravel(), minlength=len(effects.words))
    whole = max(float(effects.totals.sum()), 1e-12)
    head: list[object] = ["word", "kind", "total_x0_units", "share", "places_owned", "did_almost_nothing"]
    rows = [
        [word.label, word.kind, float(total), float(total) / whole, int(count), word.label in effects.little]
        for word, total, count in zip(effects.words, effects.totals, counts, strict=True)
    ]
    return [head, *rows]


def places_table(effects: WordEffects) -> list[list[object]]:
    """Return a row a place: its row and column, its owner, and what every word did there."""
    head: list[object] = ["row", "column", "owner", *effects.labels]
    height, width = effects.owners.shape
    rows = [
        [row, column, effects.labels[effects.owners[row, column]], *effects.maps[:, row, column].tolist()]
        for row in range(height)
        for column in range(width)
    ]
    return [head, *rows]


# -- the pictures without each word


def make_without(look: Look) -> PanelFiles:
    """Make the picture again without each word, and what changed."""
    found = words_in(look)
    words = found.words[:MOST_RUNS]
    if not words:
        raise ValueError(NO_WORD)
    again = without_words(look, words)
    said = [*found.notes, *(f"{each.label}: {each.sentence}" for each in again)]
    if len(found.words) > MOST_RUNS:
        said.insert(0, f"Only the first {MOST_RUNS} words are taken out: each is a whole run.")
    return PanelFiles(
        pictures={"without": again_sheet(look, again, "The same noise without each word")},
        arrays={"differences": np.stack([each.difference for each in again])},
        tables={"without": again_table(again)},
        said=said,
    )


def again_sheet(look: Look, again: Sequence[Again], title: str) -> Image.Image:
    """Draw pictures made again, each above its difference from the recorded one."""
    size = tile_size(look.recording.decoded)
    tiles = [("as it was", shown(look.recording.decoded, size)), ("", Image.new("RGB", size, "white"))]
    for each in again:
        tiles.append((f"{each.label}: {100 * each.changed_share:.0f} % changed", shown(each.picture, size)))
        tiles.append(("the difference", heat(each.difference.astype(np.float32), 255.0, size)))
    return sheet(tiles, title=title, columns=8)


def again_table(again: Sequence[Again]) -> list[list[object]]:
    """Return a row for each picture made again."""
    head: list[object] = ["what", "prompt", "mean_change_of_255", "changed_share", "identical"]
    rows = [
        [each.label, each.request.prompt, each.mean_change, each.changed_share, each.is_identical]
        for each in again
    ]
    return [head, *rows]


# -- attention


def make_attention(look: Look) -> PanelFiles:
    """Make the default map of every word, those of each step and head, and the agreement with effects."""
    recording = look.recording
    assert recording.attention
    found = found_words(look)
    pictures: dict[str, Image.Image] = {}
    arrays: dict[str, np.ndarray] = {}
    tables: dict[str, list[list[object]]] = {}
    said = ["Later words have read the earlier ones: attention to “on” is attention to “… cat on”."]
    for number, read in enumerate(recording.attention.texts):
        end = "" if number == 0 else f"_{number + 1}"
        view = attention_words(recording, found, text=number)
        pictures[f"attention{end}"] = attention_sheet(look, view)
        arrays[f"maps{end}"] = view.maps
        arrays[f"by_call{end}"] = np.stack(
            [attention_words(recording, found, calls=[call], text=number).maps for call in read.calls]
        )
        for third, name in enumerate(("early", "middle", "late")):
            heads = attention_heads(recording, found, module=view.module, third=third, text=number)[1]
            arrays[f"heads_{name}{end}"] = heads
        tables[f"shares{end}"] = shares_table(recording, found, number)
    if found and (both := _agreement(look, found)):
        pictures["agreement"] = agreement_sheet(look, both)
        tables["agreement"] = agreement_table(both)
        said.append(both.sentence)
    return PanelFiles(pictures=pictures, arrays=arrays, tables=tables, said=said)


def _agreement(look: Look, found: FoundWords) -> Agreement | None:
    """Compare with what the words did, over the text that is read first."""
    return agreement(effects_of(look), attention_words(look.recording, found))


def brightest(view: AttentionWords) -> float:
    """Return what is shown brightest: the largest share of a word, of marks where there are no words."""
    of_text = [number for number, kind in enumerate(view.kinds) if kind == TEXT]
    return float(view.maps[of_text or slice(None)].max())


def attention_sheet(look: Look, view: AttentionWords) -> Image.Image:
    """Draw every word's map beside the picture, marks and padding too; all words have one scale."""
    picture = look.recording.decoded
    size = tile_size(picture)
    limit = brightest(view)
    tiles = [("the picture", shown(picture, size))]
    for label, values, share in zip(view.labels, view.maps, view.shares, strict=True):
        tiles.append((f"{label}: {100 * share:.1f} %", heat(values, limit, size)))
    title = (
        f"Which words each place reads: {view.module}, the mean of {len(view.calls)} late calls"
        f" (bright: {100 * limit:.0f} % of a place's attention; marks and padding may lie above)"
    )
    return sheet(tiles, title=title)


def shares_table(recording: Recording, found: FoundWords | None, text: int) -> list[list[object]]:
    """Return a row for each module and call: the share of each word, mark and padding."""
    assert recording.attention
    rows: list[list[object]] = []
    labels: tuple[str, ...] = ()
    for module in recording.attention.modules:
        for call in recording.attention.texts[text].calls:
            view = attention_words(recording, found, module=module, calls=[call], text=text)
            labels = view.labels
            rows.append([module, call, *view.shares.tolist()])
    return [["module", "call", *labels], *rows]


def agreement_sheet(look: Look, both: Agreement) -> Image.Image:
    """Draw who owns each place by the experiment and by attention, and where they agree."""
    size = tile_size(look.recording.decoded)
    even = np.ones(both.by_effect.shape, np.float32)
    owners = sorted({*both.by_effect.ravel().tolist(), *both.by_attention.ravel().tolist()})
    tiles = [
        ("by the experiment", owned(both.by_effect, even, size)),
        ("by attention", owned(both.by_attention, even, size)),
        ("the same word: bright", heat(both.same.astype(np.float32), 1.0, size)),
        ("words", legend([(color_of(word), both.labels[word]) for word in owners], size)),
    ]
    return sheet(tiles, title=both.sentence)


def agreement_table(both: Agreement) -> list[list[object]]:
    """Return a row a place."""
    head: list[object] = ["row", "column", "by_experiment", "by_attention", "same"]
    height, width = both.same.shape
    rows = [
        [
            row,
            column,
            both.labels[both.by_effect[row, column]],
            both.labels[both.by_attention[row, column]],
            bool(both.same[row, column]),
        ]
        for row in range(height)
        for column in range(width)
    ]
    return [head, *rows]


# -- where the meaning is kept


def make_kept(look: Look) -> PanelFiles:
    """Make the picture with each group of rows closed."""
    again, said = [], []
    for name in GROUPS:
        try:
            each = with_closed_rows(look, name)
        except ValueError as error:
            said.append(f"{name}: not shown, since {error}.")
            continue
        again.append(each)
        said.append(f"{name}: {each.sentence}")
    return PanelFiles(
        pictures={"kept": again_sheet(look, again, "The same noise with rows of the text closed")},
        arrays={"differences": np.stack([each.difference for each in again])},
        tables={"kept": again_table(again)},
        said=said,
    )


def _why_no_words(recording: Recording) -> str:
    return "" if recording.request.prompt.strip() else EMPTY


def _why_no_attention(recording: Recording) -> str:
    return "" if recording.attention else NO_ATTENTION


PANELS = (
    Panel(
        name="words",
        title="What each word did",
        seen="For each word the prompt was read without it, and the map shows how far the predicted picture"
        " then moves, place by place. A place belongs to the word that moved it most.",
        not_shown="It does not show what a word does to details later: only the first quarter of the steps,"
        " in which places are given away, is compared.",
        formula="d_w = mean over the first step and those at 12 % and 24 % of |x0(c_w) − x0(c)|, the length"
        " over the four channels, with c the U-Net's answer to the prompt and c_w to the prompt without w, on"
        " the recorded x_t. For a model that predicts noise |x0(c_w) − x0(c)| = noise/signal · |c_w − c|."
        f" “Almost nothing” is a total below {100 * LITTLE:.0f} % of the largest.",
        exactness=MEASURED,
        make=make_words,
        why_not=_why_no_words,
        actions=WORD_ACTIONS,
    ),
    Panel(
        name="without",
        title="The picture without each word",
        seen="The same noise was run again without one word at a time, and each picture stands beside its"
        " difference from yours. What is gone or different is what the word did.",
        not_shown="It does not show where the word acted first: what was not asked for, such as size and"
        " place, may jump, and then the whole picture differs.",
        formula="difference = the largest |change| of a channel at each pixel, 0 to 255; changed are pixels"
        " above 25.",
        exactness=EXACT,
        make=make_without,
        why_not=_why_no_words,
        makes_pictures=True,
    ),
    Panel(
        name="attention",
        title="Attention: which words each place reads",
        seen="Each map shows how much of its cross attention a place gives to a word, in the finest module on"
        " the way up and the last 60 % of the steps. Start mark, end mark and padding are words of their own,"
        " and all maps have one scale.",
        not_shown="It does not show what a word did: every row has read the words before it, so the map of"
        " “on” is that of “… cat on”.",
        formula="softmax(Q Kᵀ / √d), the mean over heads, layers of the module and calls; rows of one word"
        " are added. Over all words, marks and padding each place sums to 1.",
        exactness=EXACT,
        make=make_attention,
        why_not=_why_no_attention,
        actions=ATTENTION_ACTIONS,
    ),
    Panel(
        name="kept",
        title="Where the meaning is kept",
        seen="The same noise was run with some rows of the text closed to the picture: all words, all padding"
        " with the end mark, all but the words, all but the padding. Where the picture stays, what was closed"
        " was not needed.",
        not_shown="It does not show what a single word's row holds, nor what the text encoder did before:"
        " closed rows were read by later ones.",
        formula="scores of closed rows are −∞ before softmax(Q Kᵀ / √d), in the half with the prompt, at"
        " every step and module.",
        exactness=EXACT,
        make=make_kept,
        makes_pictures=True,
        actions=KEPT_ACTIONS,
    ),
)
