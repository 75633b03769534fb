"""CLIP's tokenizer with the real 49,408-token vocabulary, built from the merges that open_clip ships."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import open_clip
from open_clip.tokenizer import bytes_to_unicode
from transformers import CLIPTokenizer

MERGES_COUNT = (
    49_152 - 256 - 2
)  # the vocabulary of Radford et al. 2021: bytes twice, merges, two control tokens
BOS_TOKEN, EOS_TOKEN = "<|startoftext|>", "<|endoftext|>"


def read_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The 49,408 token strings with their ids, and the merges in order."""
    path = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    merges = [(left, right) for left, right in (line.split() for line in lines[1 : MERGES_COUNT + 1])]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), *(left + right for left, right in merges)]
    return {word: i for i, word in enumerate([*words, BOS_TOKEN, EOS_TOKEN])}, merges


def build_tokenizer() -> CLIPTokenizer:
    vocabulary, merges = read_vocabulary()
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)
    assert len(tokenizer) == 49_408, len(tokenizer)
    return tokenizer


def save_tokenizer(folder: Path) -> None:
    """Write tokenizer.json and the older vocab.json and merges.txt, which other tools ask for."""
    build_tokenizer().save_pretrained(folder)
    vocabulary, merges = read_vocabulary()
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
