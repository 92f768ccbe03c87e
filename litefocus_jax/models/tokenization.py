"""Prompts to token ids, padded for the compiler without changing what the models see."""

import dataclasses
import importlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

# Lengths are padded up to a multiple of this, so that prompts of like length share one compiled program.
LENGTH_BUCKET = 16

_NO_ADVICE = "TRANSFORMERS_NO_ADVISORY_WARNINGS"
_NO_LIMIT = 10**20  # transformers has 10**30 as the longest text where a tokenizer's files say none


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


def import_transformers() -> ModuleType:
    """Import transformers without its advice to install PyTorch, which would only bring models that are not wanted."""
    before = os.environ.get(_NO_ADVICE)
    os.environ[_NO_ADVICE] = "1"
    try:
        return importlib.import_module("transformers")
    finally:
        if before is None:
            del os.environ[_NO_ADVICE]
        else:
            os.environ[_NO_ADVICE] = before


def load_tokenizer(folder: str | Path, vocabulary: int) -> Any:
    """The tokenizer saved in a checkpoint's folder, by transformers.

    One with a ``tokenizer.json`` is complete in it. Only older ones need ``AutoTokenizer``, which takes more than a
    second to import where PyTorch is installed.

    Args:
        folder: as transformers saves it.
        vocabulary: number of tokens that the text encoder knows.

    Raises:
        ValueError: when the folder holds no tokenizer that transformers can read, or one that does not say its longest
            text, or knows more tokens than the encoder.
    """
    transformers = import_transformers()
    is_complete = (Path(folder) / "tokenizer.json").exists()
    try:
        tokenizer_class = transformers.PreTrainedTokenizerFast if is_complete else transformers.AutoTokenizer
        tokenizer = tokenizer_class.from_pretrained(Path(folder), local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ValueError(f"{folder} does not hold a tokenizer that transformers can read: {error}") from error
    # Without these files, transformers makes a tokenizer to which every word is unknown.
    files = sorted({"tokenizer.json", *tokenizer.vocab_files_names.values()})
    if not any((Path(folder) / file).exists() for file in files):
        raise ValueError(f"{folder} holds a tokenizer without its vocabulary; expected {' or '.join(files)}")
    if tokenizer.model_max_length >= _NO_LIMIT:
        raise ValueError(f"{folder}/tokenizer_config.json has no model_max_length; expected the longest text in tokens")
    if len(tokenizer) > vocabulary:
        raise ValueError(
            f"{folder} holds a tokenizer of {len(tokenizer)} tokens, but the text encoder knows {vocabulary}; "
            "they do not belong together"
        )
    return tokenizer


def tokenize(
    tokenizer: Any,
    texts: Sequence[str],
    *,
    max_length: int | None = None,
    reason: str = "the most that the text encoder takes",
) -> Tokens:
    """Tokenize a batch, cutting each text at the limit and padding all to one bucketed length.

    A warning shows what was cut off.

    Args:
        tokenizer: a transformers tokenizer.
        texts: the batch.
        max_length: the limit in tokens, special tokens included; the tokenizer's own unless given.
        reason: why the limit is what it is, for the warning.
    """
    limit = tokenizer.model_max_length if max_length is None else max_length
    whole = tokenizer(list(texts), padding=False, truncation=False, verbose=False)["input_ids"]
    cut = tokenizer(list(texts), padding=False, truncation=True, max_length=limit)["input_ids"]
    for text, full, kept in zip(texts, whole, cut, strict=True):
        if len(full) > len(kept):
            lost = _lost_text(tokenizer, full, kept)
            logger.warning("The prompt %r is cut to %d tokens, %s; this part is lost: %r", text, limit, reason, lost)
    length = max(len(ids) for ids in cut)
    padded_length = -(-length // LENGTH_BUCKET) * LENGTH_BUCKET
    input_ids = np.full((len(cut), padded_length), tokenizer.pad_token_id, np.int32)
    for row, ids in zip(input_ids, cut, strict=True):
        row[: len(ids)] = ids
    lengths = np.array([len(ids) for ids in cut])
    return Tokens(input_ids, np.arange(padded_length) < lengths[:, None], length)


def tokenize_prompts(
    tokenizer: Any, tokenizer_2: Any, prompts: Sequence[str], negative_prompts: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.int32]:
    """Tokenize the negative prompts followed by the prompts, for both text encoders.

    As in diffusers, a negative prompt longer than the longest prompt is cut to its length.

    Args:
        tokenizer: CLAP's tokenizer.
        tokenizer_2: T5's tokenizer.
        prompts: the batch.
        negative_prompts: as many texts, or none without guidance.

    Returns:
        CLAP's token ids and mask, T5's token ids and mask, and the tokens of the longest prompt: what
        `litefocus_jax.models.conditioning.encode_text` takes.
    """
    positive = tokenize(tokenizer_2, prompts)
    input_ids, mask = positive.input_ids, positive.attention_mask
    if negative_prompts:
        negative = tokenize(
            tokenizer_2, negative_prompts, max_length=positive.length, reason="as many as the longest prompt has"
        )
        input_ids = np.concatenate([_pad_to(negative.input_ids, input_ids, tokenizer_2.pad_token_id), input_ids])
        mask = np.concatenate([_pad_to(negative.attention_mask, mask, False), mask])
    clap = tokenize(tokenizer, [*negative_prompts, *prompts])
    return clap.input_ids, clap.attention_mask, input_ids, mask, np.int32(positive.length)


def _pad_to(array: np.ndarray, like: np.ndarray, value: Any) -> np.ndarray:
    """Pad rows on the right to the length of another batch's."""
    return np.pad(array, ((0, 0), (0, like.shape[1] - array.shape[1])), constant_values=value)


def _lost_text(tokenizer: Any, full: list[int], kept: list[int]) -> str:
    """What the tokens that were cut off say."""
    special = set(tokenizer.all_special_ids)
    text_tokens = [token for token in full if token not in special]
    kept_count = sum(token not in special for token in kept)
    return tokenizer.decode(text_tokens[kept_count:]).strip()
