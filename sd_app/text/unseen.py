"""Which words of a prompt its model never saw in training, its LoRAs and learned words taken into account."""

from contextlib import suppress

from ..addons import describe_addon, words_of
from ..checkpoints.model_info import ModelInfo
from ..expressions.tags import find_tags
from ..expressions.vocabulary import unseen_words
from ..settings import Settings


def find_unseen(
    settings: Settings,
    info: ModelInfo,
    prompt: str,
    *,
    steps: int | None,
    negative: bool = False,
    beside: str = "",
) -> tuple[str, ...]:
    """Return the words of a prompt that its model never saw; none for a model whose words are not known.

    A LoRA's trigger words are known where it counts, so in the negative prompt too: `beside` is the prompt
    that asks for it then. One that names no trigger words may have taught any word, and nothing is said.
    Raise ValueError for a prompt that cannot be read.
    """
    if not info.known_words:
        return ()
    learned = {name.casefold() for name in words_of(settings, info.family, beside or prompt).names}
    for tag in find_tags(beside or prompt):
        triggers: tuple[str, ...] = ()
        with suppress(ValueError, OSError):  # the job says why
            triggers = describe_addon(settings, f"<lora:{tag.name}:1>").trigger_words
        if not triggers:
            return ()
        learned.update(word.casefold() for word in triggers)
    return unseen_words(prompt, info.known_words, steps=steps, negative=negative, learned=learned)
