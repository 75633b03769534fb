"""The captioner's tokenizer: BERT's WordPiece over the words of the captions, with letters for all others."""

from __future__ import annotations

import re
import string
from functools import lru_cache

import numpy as np
from transformers import BertTokenizer

from . import world

# BERT's, and BLIP's own first token of a caption (Li et al. 2022).
CONTROL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]")
MAX_TOKENS = 48
SAMPLED_CAPTIONS = 20_000  # the rarest word of a caption is in one of some 500


@lru_cache(maxsize=1)
def read_vocabulary() -> tuple[str, ...]:
    """Control tokens, then letters, digits and marks alone and as a word's continuation, then whole words."""
    rng = np.random.default_rng(0)
    scenes = (world.random_scene(rng, held_out=None) for _ in range(SAMPLED_CAPTIONS))
    words = {word for scene in scenes for word in re.findall(r"\w+", world.caption(scene, rng)[0].lower())}
    characters = string.ascii_lowercase + string.digits
    pieces = [*characters, *("##" + character for character in characters), *string.punctuation]
    return (*CONTROL_TOKENS, *pieces, *sorted(words - set(pieces)))


def build_caption_tokenizer() -> BertTokenizer:
    """Build the tokenizer of captions, at most 48 tokens; ids are places in read_vocabulary."""
    vocabulary = {token: i for i, token in enumerate(read_vocabulary())}
    tokenizer = BertTokenizer(
        vocab=vocabulary, additional_special_tokens=CONTROL_TOKENS[-1:], model_max_length=MAX_TOKENS
    )
    assert len(tokenizer) == len(vocabulary), len(tokenizer)
    return tokenizer
