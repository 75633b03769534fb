"""Exact features of open_clip's CLIP text towers at a fraction of the work.

The tower is causal and reads its result at the end token, so nothing after the end token counts, and what a
prefix computes does not depend on what follows. Encoding therefore stops at the end token, texts of one
length run together without padding, and "prefix, candidate" runs the prefix once for all candidates.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.tokenizer import HFTokenizer, SigLipTokenizer, SimpleTokenizer
from open_clip.transformer import CustomResidualAttentionBlock, ResidualAttentionBlock, TextTransformer
from torch import nn

from .text_tokens import SEPARATOR, PhraseTokenizer

BATCH_TOKENS = 4096  # run at once: enough to fill a CPU, some 50 MB of activations in ViT-L-14
PADDED_BATCH = 64  # texts of the padded path

# What open_clip.get_tokenizer gives.
ClipTokenizer: TypeAlias = SimpleTokenizer | HFTokenizer | SigLipTokenizer
KeyValues = list[tuple[torch.Tensor, torch.Tensor]]  # of a prefix, (1, heads, P, width) each, a layer
OnBatch = Callable[[int], None]  # is told how many texts are done; may raise Cancelled


class TextTower:
    """Text features of a CLIP. Not for several threads at once.

    `exact` tells whether the quick way holds: a causal mask, pooling at the end token, plain residual blocks
    and open_clip's own tokenizer. Otherwise every text is padded and runs through `encode_text`.
    """

    def __init__(self, model: CLIP | CustomTextCLIP, tokenizer: ClipTokenizer) -> None:
        self._model = model
        self._tokenizer = tokenizer
        # CLIP has the text tower's parts directly on the model, CustomTextCLIP in model.text.
        parts = model if isinstance(model, CLIP) else getattr(model, "text", None)
        self._parts = parts
        self.exact = is_causal_tower(self._parts) and is_simple(tokenizer, self._parts)
        self._words = PhraseTokenizer(tokenizer) if self.exact else None
        if self.exact and parts is not None:
            self.context_length = int(parts.positional_embedding.shape[0])
        else:
            self.context_length = int(tokenizer.context_length)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], on_batch: OnBatch | None = None) -> torch.Tensor:
        """Return the features of texts as `encode_text` gives them, (N, D) float32 on the CPU."""
        if self._words is None:
            return self.encode_padded(texts, on_batch)
        return self._run([self._cut(self._words.encode(text)) for text in texts], [], on_batch)

    @torch.inference_mode()
    def encode_after(
        self, prefix: str, candidates: Sequence[str], on_batch: OnBatch | None = None
    ) -> torch.Tensor:
        """Return the features of f"{prefix}, {candidate}" for each candidate, (N, D) float32 on the CPU.

        With an empty prefix those of the candidates alone.
        """
        joined = [prefix + SEPARATOR + candidate if prefix else candidate for candidate in candidates]
        if self._words is None or not prefix or not joined:
            return self.encode(joined, on_batch)
        head = [self._words.start, *self._words.encode(prefix + ",")]
        if len(head) >= self.context_length:  # nothing of the candidates is read
            return self.encode(joined, on_batch)
        tails = self._words.encode_after(prefix, candidates)
        room = self.context_length - len(head) - 1
        shared = [k for k, tail in enumerate(tails) if tail is not None]
        features = self._run(
            [self._until_end((*(tails[k] or ())[:room], self._words.end)) for k in shared], head, on_batch
        )
        if len(shared) == len(joined):
            return features
        apart = [k for k, tail in enumerate(tails) if tail is None]
        others = self.encode([joined[k] for k in apart], on_batch)
        result = others.new_empty(len(joined), others.shape[1])
        result[shared], result[apart] = features.to(result), others
        return result

    def count_tokens(self, text: str) -> int:
        """Return how many positions a text takes, start and end token included; may exceed context_length.

        A tower that is not `exact` cannot tell a full context from a cut text: both count as one too many.
        """
        if self._words is not None:
            return len(self._words.encode(text)) + 2
        nothing, ids = self._tokenizer(["", text])
        count = int((ids != nothing[-1]).nonzero().max()) + 1
        return count if count < len(ids) else count + 1

    def fits(self, prefix: str, candidates: Sequence[str]) -> list[bool]:
        """Tell for each candidate whether "prefix, candidate" is read to its end."""
        if self._words is None:
            joined = (prefix + SEPARATOR + text if prefix else text for text in candidates)
            return [self.count_tokens(text) <= self.context_length for text in joined]
        used = len(self._words.encode(prefix + ",")) if prefix else 0
        room = self.context_length - 2 - used
        tails = (
            self._words.encode_after(prefix, candidates) if prefix else map(self._words.encode, candidates)
        )
        return [
            len(tail) <= room
            if tail is not None
            else self.count_tokens(prefix + SEPARATOR + text) <= self.context_length
            for tail, text in zip(tails, candidates, strict=True)
        ]

    @torch.inference_mode()
    def encode_padded(self, texts: Sequence[str], on_batch: OnBatch | None = None) -> torch.Tensor:
        """Return the features by the model's own `encode_text`: the reference, and other towers' way."""
        model = self._model
        device = next(model.parameters()).device
        features = []
        for start in range(0, len(texts), PADDED_BATCH):
            batch = list(texts[start : start + PADDED_BATCH])
            features.append(model.encode_text(self._tokenizer(batch).to(device)).float().cpu())
            _tell(on_batch, len(batch))
        return torch.cat(features) if features else torch.empty(0, 0)

    def weights(self) -> list[tuple[str, torch.Tensor]]:
        """Return what the features depend on by name: the text tower's parameters, or the whole model's."""
        state = self._parts_or_model().state_dict()
        return [(name, tensor) for name, tensor in state.items() if not name.startswith("visual.")]

    def describe(self) -> str:
        """Return the tower's structure in words: activations, layers, tokenizer."""
        text = [repr(part) for name, part in self._parts_or_model().named_children() if name != "visual"]
        pool = [str(getattr(self._parts, name, "")) for name in ("text_pool_type", "pool_type")]
        return "\n".join([*text, *pool, repr(type(self._tokenizer)), str(self.context_length)])

    def _parts_or_model(self) -> nn.Module:
        return self._model if self._parts is None else self._parts

    def _cut(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Add the marks and cut to the context as the tokenizer does."""
        assert self._words is not None
        kept = ids[: self.context_length - 2]
        return (self._words.start, *self._until_end((*kept, self._words.end)))

    def _until_end(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """Drop what follows the first end token: one that was typed already ends the text."""
        assert self._words is not None
        return ids[: ids.index(self._words.end) + 1]

    def _run(self, ids: list[tuple[int, ...]], head: list[int], on_batch: OnBatch | None) -> torch.Tensor:
        """Encode token ids that follow those of `head`; each ends with the end token."""
        if self._words is not None and self._words.end in head:
            return self._run([tuple(head[: head.index(self._words.end) + 1])] * len(ids), [], on_batch)
        past: KeyValues = []
        if head:
            self._forward([tuple(head)], [], keep=past)
        features: torch.Tensor | None = None
        for rows in same_length(ids):
            part = self._forward([ids[k] for k in rows], past).float().cpu()
            if features is None:
                features = part.new_empty(len(ids), part.shape[1])
            features[rows] = part
            _tell(on_batch, len(rows))
        return torch.empty(0, 0) if features is None else features

    def _forward(
        self, ids: list[tuple[int, ...]], past: KeyValues, keep: KeyValues | None = None
    ) -> torch.Tensor:
        """Run texts of one length, (B, L) ids, after P positions of the past; return (B, D)."""
        parts = self._parts
        assert parts is not None
        dtype = parts.transformer.get_cast_dtype()
        begun = past[0][0].shape[2] if past else 0
        tokens = torch.tensor(ids, device=parts.positional_embedding.device)
        length = tokens.shape[1]
        x = parts.token_embedding(tokens).to(dtype)
        x = x + parts.positional_embedding[begun : begun + length].to(dtype)
        allowed = torch.ones(length, begun + length, dtype=torch.bool, device=x.device).tril(begun)
        blocks = list(parts.transformer.resblocks)
        for layer, block in enumerate(blocks):
            is_last = keep is None and layer == len(blocks) - 1
            before = past[layer] if past else None
            x = run_block(block, x, before, allowed, only_end=is_last, keep=keep)
        return project(parts.text_projection, parts.ln_final(x[:, -1]))


def run_block(
    block: ResidualAttentionBlock,
    x: torch.Tensor,
    past: tuple[torch.Tensor, torch.Tensor] | None,
    allowed: torch.Tensor,
    *,
    only_end: bool,
    keep: KeyValues | None,
) -> torch.Tensor:
    """Run one residual block on x, (B, L, width), after the past's keys and values.

    `allowed` is (L, P + L), True where a position may look. With `only_end` the result is (B, 1, width), of
    the last position alone. `keep`, if given, takes this layer's keys and values.
    """
    attention = block.attn
    heads, width = attention.num_heads, attention.embed_dim
    normed = block.ln_1(x)
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    if only_end:
        x, allowed = x[:, -1:], allowed[-1:]
    query = F.linear(normed[:, -x.shape[1] :], weight[:width], bias[:width])
    key, value = F.linear(normed, weight[width:], bias[width:]).chunk(2, dim=-1)
    query, key, value = (
        part.unflatten(-1, (heads, width // heads)).transpose(1, 2) for part in (query, key, value)
    )
    if keep is not None:
        keep.append((key, value))
    if past is not None:
        key = torch.cat([past[0].expand(len(x), -1, -1, -1), key], dim=2)
        value = torch.cat([past[1].expand(len(x), -1, -1, -1), value], dim=2)
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    x = x + block.ls_1(attention.out_proj(mixed.transpose(1, 2).flatten(2)))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def project(projection: nn.Parameter | nn.Module | None, x: torch.Tensor) -> torch.Tensor:
    """Apply a text projection: a matrix, a layer or none."""
    if projection is None:
        return x
    return projection(x) if isinstance(projection, nn.Module) else x @ projection


def same_length(ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the rows of texts that have one length, in batches of at most BATCH_TOKENS tokens."""
    by_length: dict[int, list[int]] = {}
    for row, text in enumerate(ids):
        by_length.setdefault(len(text), []).append(row)
    for length, rows in sorted(by_length.items()):
        count = max(1, BATCH_TOKENS // length)
        for start in range(0, len(rows), count):
            yield rows[start : start + count]


def is_causal_tower(parts: nn.Module | None) -> bool:
    """Tell whether a text tower is causal, pools at the end token and is made of plain residual blocks."""
    if not isinstance(parts, CLIP | TextTransformer) or getattr(parts, "cls_emb", None) is not None:
        return False
    pool = parts.text_pool_type if isinstance(parts, CLIP) else parts.pool_type
    mask = parts.attn_mask
    if pool not in ("argmax", "eos") or mask is None or getattr(parts, "use_pad_mask", False):
        return False
    causal = torch.full_like(mask, float("-inf")).triu(1)
    return torch.equal(mask, causal) and _are_plain(parts.transformer.resblocks)


def is_simple(tokenizer: ClipTokenizer, parts: CLIP | TextTransformer) -> bool:
    """Tell whether the tokenizer is CLIP's own and its end token is where the tower pools.

    Argmax pooling needs the end token to be the largest id; eos pooling names it.
    """
    if type(tokenizer) is not SimpleTokenizer or tokenizer.reduction_fn is not None:
        return False
    is_clip = isinstance(parts, CLIP)
    eos = parts.text_eos_id if is_clip else parts.eos_id
    pool = parts.text_pool_type if is_clip else parts.pool_type
    end = tokenizer.eot_token_id
    lowers = tokenizer.clean_fn("A\n  b") == "a b"
    fits = tokenizer.context_length == parts.positional_embedding.shape[0]
    return lowers and fits and end == (eos if pool == "eos" else tokenizer.vocab_size - 1)


def _are_plain(blocks: Iterable[ResidualAttentionBlock | CustomResidualAttentionBlock]) -> bool:
    return all(
        type(block) is ResidualAttentionBlock
        and block.attn._qkv_same_embed_dim
        and block.attn.in_proj_bias is not None
        and block.attn.bias_k is None
        and not block.attn.add_zero_attn
        for block in blocks
    )


def _tell(on_batch: OnBatch | None, count: int) -> None:
    if on_batch is not None:
        on_batch(count)
