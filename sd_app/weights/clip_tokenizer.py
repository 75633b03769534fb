"""CLIP's tokenizer with the real 49,408-token vocabulary, built from the merges that open_clip ships."""

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from transformers import CLIPTokenizer

# The vocabulary of Radford et al. 2021: bytes twice, merges, two control tokens.
MERGES_COUNT = 49_152 - 256 - 2
BOS_TOKEN, EOS_TOKEN = "<|startoftext|>", "<|endoftext|>"
OPEN_CLIP_PAD = "!"  # id 0, with which models of open_clip's text encoders were trained


def read_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the 49,408 token strings with their ids, and the merges in order."""
    spec = find_spec("open_clip")  # importing it would load torchvision too
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    merges = [(left, right) for left, right in (line.split() for line in lines[1 : MERGES_COUNT + 1])]
    letters = byte_letters()
    words = [*letters, *(letter + "</w>" for letter in letters), *(left + right for left, right in merges)]
    return {word: i for i, word in enumerate([*words, BOS_TOKEN, EOS_TOKEN])}, merges


def byte_letters() -> list[str]:
    """Return the letter that stands for each byte: itself where it can be seen, else one from 256 on.

    The bytes that can be seen come first (Radford et al. 2019).
    """
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [*map(chr, seen), *(chr(256 + number) for number in range(256 - len(seen)))]


@cache
def build_tokenizer(pad_token: str = EOS_TOKEN) -> CLIPTokenizer:
    """Build the tokenizer; nothing is fetched. All who ask share it, and nobody changes it."""
    vocabulary, merges = read_vocabulary()
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77, pad_token=pad_token)
    assert len(tokenizer) == 49_408, len(tokenizer)
    return tokenizer
