"""What can be done on the page in the panels of words: what each did, attention, where meaning is kept."""

from dataclasses import replace

import numpy as np

from ..requests import LookAnswer
from ..requests.text import TEXT
from .actions import Action, Given, choice, text, whole
from .again import Again, with_another_word
from .attention_words import agreement, attention_heads, attention_of, attention_words, pooled
from .closed_rows import GROUPS, with_closed_rows
from .look import Look
from .prompt_words import FoundWords, words_in
from .sheets import color_of, heat
from .word_effects import Floats, WordEffects, effects_of

MAX_OTHER = 200  # characters of another word
MOST_SIDE = 64  # places of a side of a map that is sent: those of a picture of 512 pixels
THIRDS = ("early", "middle", "late")
ALL_CALLS = -1  # what stands for the usual calls, the last 60 % of the steps

NO_WORD = "The prompt has no word that could be taken out on its own."


# -- what each word did


def begin_words(look: Look, given: Given) -> LookAnswer:
    """Return every word's map on one scale, who owns each place, and the words' totals."""
    effects = effects_of(look)
    if not effects.words:
        raise ValueError(NO_WORD)
    asks_negative = bool(look.request.negative_prompt.strip() and look.recording.guided_calls)
    return LookAnswer(numbers={**_effects(look, effects), "has_negative": asks_negative})


def negative_words(look: Look, given: Given) -> LookAnswer:
    """Do the same for the negative prompt."""
    effects = effects_of(look, negative=True)
    if not effects.words:
        raise ValueError("The negative prompt has no word that could be taken out on its own.")
    return LookAnswer(numbers=_effects(look, effects))


def _effects(look: Look, effects: WordEffects) -> dict[str, object]:
    shown = on_page(effects)
    order = look.recording.facts.order
    return {
        "labels": list(effects.labels),
        "maps": shown.maps,
        "steps": [call // order + 1 for call in effects.calls],
        "totals": effects.totals,
        "little": list(effects.little),
        "owners": shown.owners.tolist(),
        "strength": shown.strength,
        "limit": float(np.quantile(shown.maps.max(axis=0), 0.99)),
        "colors": _colors(len(effects.words)),
        "notes": list(effects.notes),
    }


def on_page(effects: WordEffects) -> WordEffects:
    """Return the effects with as many places as a page is sent: of larger maps some are averaged."""
    height, width = effects.by_call.shape[-2:]
    factor = max(height, width) / MOST_SIDE
    if factor <= 1:
        return effects
    side = max(1, round(height / factor)), max(1, round(width / factor))
    return replace(effects, by_call=np.stack([pooled(maps, side) for maps in effects.by_call]))


def _colors(count: int) -> list[list[int]]:
    return [list(color_of(number)) for number in range(count)]


def other_word(look: Look, given: Given) -> LookAnswer:
    """Make the picture without a word, or with `other` in its place, on the same noise."""
    found = words_in(look)
    [word] = found.only(text(given, "word", MAX_OTHER)).words
    return again_answer(with_another_word(look, word, text(given, "other", MAX_OTHER)))


def again_answer(again: Again) -> LookAnswer:
    """Return a picture made again, its difference from the recorded one, and how far that goes."""
    size = again.picture.size
    return LookAnswer(
        numbers={
            "label": again.label,
            "said": again.sentence,
            "prompt": again.request.prompt,
            "changed": again.changed_share,
        },
        pictures={
            "picture": again.picture,
            "difference": heat(again.difference.astype(np.float32), 255.0, size),
        },
    )


# -- attention


def begin_attention(look: Look, given: Given) -> LookAnswer:
    """Return what can be chosen, and the usual maps."""
    recording = look.recording
    attention = attention_of(recording)
    return LookAnswer(
        numbers={
            "modules": [[module, *attention.side(module)] for module in attention.modules],
            "finest": attention.finest_up,
            "texts": [read.text for read in attention.texts],
            "thirds": list(THIRDS),
            "heads": {module: len(attention.heads(module, 0)) for module in attention.modules},
            **_maps(look, attention.finest_up, ALL_CALLS, 0),
        }
    )


def attention_maps(look: Look, given: Given) -> LookAnswer:
    """Return a `module`'s maps at a `call`, or at the usual ones (-1), of one of the `text`s read."""
    attention = attention_of(look.recording)
    module = choice(given, "module", attention.modules)
    call = whole(given, "call", ALL_CALLS, look.recording.num_calls - 1)
    number = whole(given, "text", 0, len(attention.texts) - 1)
    return LookAnswer(numbers=_maps(look, module, call, number))


def _maps(look: Look, module: str, call: int, number: int) -> dict[str, object]:
    """Return the words' maps; of a call at which the text was not read none, and a sentence."""
    recording = look.recording
    read = attention_of(recording).texts[number]
    if call != ALL_CALLS and call not in read.calls:
        return {"labels": [], "said": "This text was not read at this step."}
    view = attention_words(
        recording, found_words(look), module=module, calls=None if call == ALL_CALLS else [call], text=number
    )
    of_text = [index for index, kind in enumerate(view.kinds) if kind == TEXT]
    return {
        "labels": list(view.labels),
        "kinds": list(view.kinds),
        "maps": view.maps,
        "shares": view.shares,
        "limit": float(view.maps[of_text or slice(None)].max()),
        "calls": len(view.calls),
    }


def attention_by_head(look: Look, given: Given) -> LookAnswer:
    """Return one head's maps in a third of the run."""
    attention = attention_of(look.recording)
    module = choice(given, "module", attention.modules)
    third = THIRDS.index(choice(given, "third", THIRDS))
    number = whole(given, "text", 0, len(attention.texts) - 1)
    head = whole(given, "head", 0, len(attention.heads(module, third, number)) - 1)
    labels, maps = attention_heads(look.recording, found_words(look), module=module, third=third, text=number)
    mine: Floats = maps[head]
    return LookAnswer(
        numbers={
            "labels": list(labels),
            "maps": mine,
            "shares": mine.mean(axis=(1, 2)),
            "limit": float(mine.max()),
        }
    )


def meeting(look: Look, given: Given) -> LookAnswer:
    """Return in how many places attention names the same word as the experiment."""
    found = words_in(look)
    both = agreement(effects_of(look), attention_words(look.recording, found))
    if both is None:
        raise ValueError(NO_WORD)
    return LookAnswer(
        numbers={
            "labels": list(both.labels),
            "by_effect": both.by_effect.tolist(),
            "by_attention": both.by_attention.tolist(),
            "same": int(both.same.sum()),
            "places": int(both.same.size),
            "chance": both.chance,
            "said": both.sentence,
            "colors": _colors(len(both.labels)),
        }
    )


def found_words(look: Look) -> FoundWords | None:
    """Return the prompt's words; None where the model and with it its tokenizer is not here any more."""
    try:
        return words_in(look)
    except ValueError:
        return None


# -- where the meaning is kept


def closed_rows(look: Look, given: Given) -> LookAnswer:
    """Make the picture with one of the groups of rows closed."""
    return again_answer(with_closed_rows(look, choice(given, "which", tuple(GROUPS))))


WORD_ACTIONS = (
    Action(name="begin", answer=begin_words),
    Action(name="negative", answer=negative_words),
    Action(name="other", answer=other_word),
)
ATTENTION_ACTIONS = (
    Action(name="begin", answer=begin_attention, runs=False),
    Action(name="maps", answer=attention_maps, runs=False),
    Action(name="head", answer=attention_by_head, runs=False),
    Action(name="meeting", answer=meeting),
)
KEPT_ACTIONS = (Action(name="close", answer=closed_rows),)
