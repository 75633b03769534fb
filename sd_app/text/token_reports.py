"""How a prompt is read, for the line under it: tokens, texts and their steps, and what should be said."""

from dataclasses import replace

from ..addons import words_of
from ..checkpoints.model_info import ModelInfo
from ..expressions.editing import changes, readings, refuse_changing
from ..expressions.misread import shown
from ..expressions.remarks import remarks_on
from ..expressions.tags import find_tags
from ..expressions.vocabulary import unseen_sentence
from ..requests import TextRead, TokenReport, TokenTable
from ..templates import Wildcards, draw, holds_choices
from ..weights.model_manager import ModelManager
from . import prompts
from .unseen import find_unseen

EXAMPLE_SEED = 0  # of the prompt that is shown of a template
DRAWN = "Each picture's prompt is drawn by its seed; this is how one of them is read:"


def table(manager: ModelManager, info: ModelInfo, prompt: str) -> TokenTable:
    """List all rows a model reads for a prompt. Raise ValueError for one that is several texts."""
    if holds_choices(prompt):
        prompt = draw(prompt, EXAMPLE_SEED, Wildcards(manager.settings.wildcards_dir).lines)
    refuse_changing("prompt", prompt)
    return prompts.token_table(
        manager.tokenizer(info.name), prompt, words_of(manager.settings, info.family, prompt)
    )


def report(
    manager: ModelManager,
    info: ModelInfo,
    prompt: str,
    *,
    steps: tuple[int, int] | None = None,
    negative: bool = False,
) -> TokenReport:
    """Report on a prompt of a run of `steps`, (run, in all), by default the model's own."""
    if holds_choices(prompt):
        example = draw(prompt, EXAMPLE_SEED, Wildcards(manager.settings.wildcards_dir).lines)
        found = report(manager, info, example, steps=steps, negative=negative)
        return replace(found, remarks=(f"{DRAWN} {shown(example)}.", *found.remarks))
    steps_run, in_all = steps or (info.default_steps, info.default_steps)
    tokenizer, words = manager.tokenizer(info.name), words_of(manager.settings, info.family, prompt)
    # A LoRA that cannot be read may bring words of its own.
    known = None if find_tags(prompt) else words.names
    remarks = remarks_on(prompt, steps=in_all, steps_run=steps_run, negative=negative, known_words=known)
    unseen = find_unseen(manager.settings, info, prompt, steps=in_all, negative=negative)
    remarks = (*remarks, *filter(None, [unseen_sentence(info.name, unseen)]))
    if not changes(prompt, joins=not negative):
        return replace(prompts.tokenize(tokenizer, prompt, words), remarks=remarks, unseen=unseen)
    read = readings(prompt, in_all, joins=not negative)[:steps_run]
    at: dict[tuple[str, float], list[int]] = {}
    for step, reading in enumerate(read, 1):
        for part in zip(reading.texts, reading.weights, strict=True):
            at.setdefault(part, []).append(step)
    texts, first = [], None
    for (text, weight), steps_of_text in at.items():
        counted = prompts.tokenize(tokenizer, text, words)
        first = first or counted
        texts.append(
            TextRead(
                text=text.strip(),
                steps=stretches(steps_of_text),
                weight=weight,
                count=counted.count,
                num_chunks=counted.num_chunks,
            )
        )
    assert first
    return replace(first, texts=tuple(texts), remarks=remarks, unseen=unseen)


def stretches(steps: list[int]) -> tuple[tuple[int, int], ...]:
    """Return the first and last of each run of steps that follow one another; a text may stand twice."""
    found: list[tuple[int, int]] = []
    for step in dict.fromkeys(steps):
        if found and found[-1][1] == step - 1:
            found[-1] = found[-1][0], step
        else:
            found.append((step, step))
    return tuple(found)
