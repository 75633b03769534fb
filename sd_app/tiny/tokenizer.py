"""The embedded model's tokenizer as the files that this app and other tools read."""

import json
from pathlib import Path

from ..weights.clip_tokenizer import BOS_TOKEN, EOS_TOKEN, MERGES_COUNT, build_tokenizer, read_vocabulary

__all__ = ["BOS_TOKEN", "EOS_TOKEN", "MERGES_COUNT", "build_tokenizer", "read_vocabulary", "save_tokenizer"]


def save_tokenizer(folder: Path) -> None:
    """Write tokenizer.json and the older vocab.json and merges.txt, which other tools ask for."""
    build_tokenizer().save_pretrained(folder)
    vocabulary, merges = read_vocabulary()
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
