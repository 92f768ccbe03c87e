"""Prompts to token ids, padded for the compiler without changing what the models see."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)

# Lengths are padded up to a multiple of this, so that prompts of like length share one compiled program.
LENGTH_BUCKET = 16


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


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer saved in a checkpoint's folder, by ``transformers.AutoTokenizer``.

    Raises:
        ValueError: when the folder holds no tokenizer that transformers can read.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(Path(folder), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} does not hold a tokenizer that transformers can read: {error}") from error


def tokenize(
    tokenizer: Any,
    texts: Sequence[str],
    *,
    max_length: int | None = None,
    warn: bool = True,
    bucket: int = LENGTH_BUCKET,
) -> Tokens:
    """Tokenize a batch, cutting each text at the limit and padding all to one bucketed length.

    Args:
        tokenizer: a transformers tokenizer.
        texts: the batch.
        max_length: the limit in tokens, special tokens included; the tokenizer's own unless given.
        warn: log a warning that shows what was cut off.
        bucket: the padded length is a multiple of this.
    """
    limit = tokenizer.model_max_length if max_length is None else max_length
    whole = tokenizer(list(texts), padding=False, truncation=False, verbose=False)["input_ids"]
    cut = tokenizer(list(texts), padding=False, truncation=True, max_length=limit)["input_ids"]
    if warn:
        for text, full, kept in zip(texts, whole, cut, strict=True):
            if len(full) > len(kept):
                _warn_of_lost_text(tokenizer, text, full, kept, limit)
    length = max(len(ids) for ids in cut)
    padded_length = -(-length // bucket) * bucket
    input_ids = np.full((len(cut), padded_length), tokenizer.pad_token_id, np.int32)
    for row, ids in zip(input_ids, cut, strict=True):
        row[: len(ids)] = ids
    lengths = np.array([len(ids) for ids in cut])
    return Tokens(input_ids, np.arange(padded_length) < lengths[:, None], length)


def _warn_of_lost_text(tokenizer: Any, text: str, full: list[int], kept: list[int], limit: int) -> None:
    special = set(tokenizer.all_special_ids)
    text_tokens = [token for token in full if token not in special]
    kept_count = sum(token not in special for token in kept)
    lost = tokenizer.decode(text_tokens[kept_count:]).strip()
    logger.warning(
        "The prompt %r is longer than the text encoder's %d tokens; this part is lost: %r", text, limit, lost
    )
