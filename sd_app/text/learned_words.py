"""The vectors of learned words, put in the place of tokens while a text encoder reads them.

Neither tokenizer nor table of vectors changes: a token says whose vector stands for it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel

from ..addons import LearnedWord
from ..requests import Token
from ..user_files import reason_of
from ..weights.pipeline import Pipeline
from ..weights.tensor_files import TensorFile


def learned_vectors(
    pipe: Pipeline, tokens: Sequence[Token], index: int = 0, *, first: int = 1
) -> dict[int, Tensor]:
    """Return the vectors of a window's learned words for text encoder 0 or 1, (D,) each by position.

    `first` is the first token's position. Raise ValueError for vectors of another length than the encoder's.
    """
    found: dict[int, Tensor] = {}
    for position, token in enumerate(tokens, start=first):
        if not token.learned:
            continue
        encoder = pipe.text_encoders[index]
        width = encoder.get_input_embeddings().weight.shape[1]
        vectors = _read(pipe.words.word(token.learned))[index]
        if vectors is None:  # the other encoder's alone: here its places are empty
            found[position] = torch.zeros(width)
            continue
        if vectors.shape[1] != width:
            raise ValueError(
                f"prompt must hold learned words that fit the model, and the vectors of {token.learned} have"
                f" {vectors.shape[1]} columns where the model's have {width} (leave it out, or rename it)"
            )
        found[position] = vectors[token.vector]
    return found


def token_vectors(pipe: Pipeline, tokens: Sequence[Token]) -> Tensor:
    """Return what the first text encoder reads for these tokens, (tokens, D) float32."""
    table = pipe.text_encoder.get_input_embeddings().weight
    vectors = table[[token.id for token in tokens]].detach().float()
    for at, vector in learned_vectors(pipe, tokens, first=0).items():
        vectors[at] = vector.to(vectors)
    return vectors


@contextmanager
def replaced_vectors(text_encoder: CLIPTextModel, vectors: dict[int, Tensor]) -> Iterator[None]:
    """Have the encoder read these token vectors, (D,) each by position; what it computes is its own."""
    if not vectors:
        yield
        return

    def replace(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        output = output.clone()
        for position, vector in vectors.items():
            output[:, position] = vector.to(output)
        return output

    handle = text_encoder.get_input_embeddings().register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


@lru_cache(maxsize=64)
def _read(word: LearnedWord) -> tuple[Tensor | None, ...]:
    """Read a word's vectors, (vectors, D) float32 for each text encoder; None where there are none."""
    try:
        file = TensorFile(word.path)
        tensors = tuple(
            file.read(name).to(torch.float32, copy=True) if name else None for name in word.tensors
        )
    except (ValueError, OSError) as error:
        raise ValueError(
            f"prompt must hold learned words that can be read, and {word.name} cannot:"
            f" {reason_of(error, word.path)}"
        ) from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor is not None):
        raise ValueError(
            f"prompt must hold learned words made of numbers, and {word.name} has a value that is not one"
            " (get another copy of the file)"
        )
    return tuple(tensor if tensor is None else tensor.reshape(word.num_vectors, -1) for tensor in tensors)
