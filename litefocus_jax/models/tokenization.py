"""Prompts to token ids, padded for the compiler without changing what the models see."""

import abc
import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Int

from litefocus_jax.models.generation_defaults import PromptPadding

logger = logging.getLogger(__name__)

# Lengths are padded up to a multiple of this, so that prompts of like length share one compiled program.
LENGTH_BUCKET = 16

_LONGEST = "the most that the text encoder takes"
_WARNED_OF = 3  # texts that are cut off, one by one
_PROMPT_SHOWN, _LOST_SHOWN = 40, 120  # characters in a warning


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Token ids of a batch, right-padded to a bucketed length.

    Attributes:
        input_ids: ``int32 [batch, bucketed length]``.
        attention_mask: ``bool [batch, bucketed length]``, true on tokens of the text.
        length: tokens in the longest text of the batch, that is, the length without bucketing.
    """

    input_ids: np.ndarray
    attention_mask: np.ndarray
    length: int


@dataclasses.dataclass(frozen=True)
class Tokenizer(abc.ABC):
    """Text to token ids and back; `litefocus_jax.models.stored_tokenizers.load_tokenizer` makes one.

    Attributes:
        pad_token_id: what shorter texts of a batch are padded with, on the right.
        model_max_length: tokens of the longest text that the text encoder takes, special ones included.
        size: number of tokens, special ones included.
        special_ids: of tokens that stand for no text.
    """

    pad_token_id: int
    model_max_length: int
    size: int
    special_ids: frozenset[int]

    @abc.abstractmethod
    def ids(self, texts: Sequence[str], max_length: int | None = None) -> list[list[int]]:
        """The tokens of each text with the special ones around them, as a text encoder wants them.

        Args:
            texts: any number of them.
            max_length: the limit in tokens, special ones included; the end of a longer text is cut off. Without it
                nothing is, whatever the text encoder takes.
        """

    @abc.abstractmethod
    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text that tokens stand for."""


def tokenize(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    max_length: int | None = None,
    reason: str = _LONGEST,
) -> Tokens:
    """Tokenize a batch, cutting each text at the limit and padding all to one bucketed length.

    A warning shows what was cut off.

    Args:
        tokenizer: reads them.
        texts: the batch.
        max_length: the limit in tokens, special tokens included; the tokenizer's own unless given.
        reason: why the limit is what it is, for the warning.
    """
    tokens, cuts = _tokenize(tokenizer, texts, max_length, reason)
    _warn_of(cuts)
    return tokens


def tokenize_for_each(tokenizers: Sequence[Tokenizer], texts: Sequence[str]) -> tuple[Tokens, ...]:
    """`tokenize` for CLAP, for T5, or for both; a text that both cut is warned of once."""
    tokenized = [_tokenize(tokenizer, texts) for tokenizer in tokenizers]
    _warn_of([cut for _, cuts in reversed(tokenized) for cut in cuts])
    return tuple(tokens for tokens, _ in tokenized)


class _Cut(NamedTuple):
    """A text whose end is cut off, to how many tokens, why, and what is lost."""

    text: str
    limit: int
    reason: str
    lost: str


def _tokenize(
    tokenizer: Tokenizer, texts: Sequence[str], max_length: int | None = None, reason: str = _LONGEST
) -> tuple[Tokens, list[_Cut]]:
    limit = tokenizer.model_max_length if max_length is None else max_length
    whole, cut = tokenizer.ids(texts), tokenizer.ids(texts, limit)
    cuts = [
        _Cut(text, limit, reason, _lost_text(tokenizer, full, kept))
        for text, full, kept in zip(texts, whole, cut, strict=True)
        if len(full) > len(kept)
    ]
    length = max(len(ids) for ids in cut)
    padded_length = -(-length // LENGTH_BUCKET) * LENGTH_BUCKET
    input_ids = np.full((len(cut), padded_length), tokenizer.pad_token_id, np.int32)
    for row, ids in zip(input_ids, cut, strict=True):
        row[: len(ids)] = ids
    lengths = np.array([len(ids) for ids in cut])
    return Tokens(input_ids, np.arange(padded_length) < lengths[:, None], length), cuts


def _warn_of(cuts: Sequence[_Cut]) -> None:
    """One short warning for each text, of the cut that loses most; past a few texts, how many more there are."""
    largest: dict[str, _Cut] = {}
    for cut in cuts:
        if cut.text not in largest or len(cut.lost) > len(largest[cut.text].lost):
            largest[cut.text] = cut
    for text, limit, reason, lost in list(largest.values())[:_WARNED_OF]:
        logger.warning(
            "The prompt %r is cut to %d tokens, %s; this part is lost: %r",
            _shortened(text, _PROMPT_SHOWN),
            limit,
            reason,
            _shortened(lost, _LOST_SHOWN),
        )
    if len(largest) > _WARNED_OF:
        logger.warning("%d more prompts are too long, and cut in the same way", len(largest) - _WARNED_OF)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length].rstrip()} ..."


class PromptTokens(NamedTuple):
    """A batch of prompts as both text encoders read it.

    Attributes:
        clap_ids: CLAP's token ids; padding to any length changes nothing.
        clap_mask: true (or 1) on tokens, false (or 0) on padding.
        t5_ids: Flan-T5's token ids, padded on the right.
        t5_mask: true (or 1) on tokens, false (or 0) on padding.
        t5_length: the length that diffusers would pad this batch to, at most that of ``t5_ids``; or, for each prompt,
            the length that it would be padded to without the others. In compiled programs it is traced, so that prompts
            of like length share one.
    """

    clap_ids: Int[Array | np.ndarray, "batch clap_tokens"]
    clap_mask: Bool[Array | np.ndarray, "batch clap_tokens"]
    t5_ids: Int[Array | np.ndarray, "batch tokens"]
    t5_mask: Bool[Array | np.ndarray, "batch tokens"]
    t5_length: Int[Array | np.ndarray, "*batch"] | np.integer | int


def tokenize_prompts(
    tokenizer: Tokenizer,
    tokenizer_2: Tokenizer,
    prompts: Sequence[str],
    negative_prompts: Sequence[str] = (),
    *,
    padding: PromptPadding = "batch",
) -> PromptTokens:
    """Tokenize the negative prompts followed by the prompts, for both text encoders.

    As in diffusers, a negative prompt longer than the longest prompt is cut to its length; with padding ``"alone"``,
    one longer than its own prompt.

    Args:
        tokenizer: CLAP's tokenizer.
        tokenizer_2: T5's tokenizer.
        prompts: the batch.
        negative_prompts: as many texts, or none without guidance.
        padding: whether a prompt counts as padded to the longest of the batch, or as long as it is.
    """
    positive, cuts = _tokenize(tokenizer_2, prompts)
    input_ids, mask = positive.input_ids, positive.attention_mask
    is_alone = padding == "alone"
    lengths = mask.sum(axis=1, dtype=np.int32) if is_alone else np.full(len(mask), positive.length, np.int32)
    if negative_prompts:
        reason = f"as many as {'its' if is_alone else 'the longest'} prompt has"
        negative = []
        for text, length in zip(negative_prompts, lengths, strict=True):
            tokens, negative_cuts = _tokenize(tokenizer_2, [text], max_length=int(length), reason=reason)
            negative.append(tokens)
            cuts += negative_cuts
        padded = [_pad_to(each.input_ids, input_ids, tokenizer_2.pad_token_id) for each in negative]
        input_ids = np.concatenate([*padded, input_ids])
        mask = np.concatenate([*(_pad_to(each.attention_mask, mask, False) for each in negative), mask])
        lengths = np.tile(lengths, 2)
    clap, clap_cuts = _tokenize(tokenizer, [*negative_prompts, *prompts])
    _warn_of([*cuts, *clap_cuts])
    t5_length = lengths if is_alone else np.int32(positive.length)
    return PromptTokens(clap.input_ids, clap.attention_mask, input_ids, mask, t5_length)


def _pad_to(array: np.ndarray, like: np.ndarray, value: Any) -> np.ndarray:
    """Pad rows on the right to the length of another batch's."""
    return np.pad(array, ((0, 0), (0, like.shape[1] - array.shape[1])), constant_values=value)


def _lost_text(tokenizer: Tokenizer, full: list[int], kept: list[int]) -> str:
    """What the tokens that were cut off say."""
    text_tokens = [token for token in full if token not in tokenizer.special_ids]
    kept_count = sum(token not in tokenizer.special_ids for token in kept)
    return tokenizer.decode(text_tokens[kept_count:]).strip()
