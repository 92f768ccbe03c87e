"""Prompts to token ids, padded for the compiler without changing what the models see."""

import abc
import dataclasses
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from jaxtyping import Array, Bool, Int

from litefocus_jax.models.generation_defaults import PromptPadding
from litefocus_jax.system.extras import import_extra
from litefocus_jax.system.json_config import read_json

logger = logging.getLogger(__name__)

# Lengths are padded up to a multiple of this, so that prompts of like length share one compiled program.
LENGTH_BUCKET = 16

_CONFIG = "tokenizer_config.json"
_VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model")
_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_TOKEN_FACTS = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
_NO_LIMIT = 10**20  # transformers has 10**30 as the longest text where a tokenizer's files say none
_LONGEST = "the most that the text encoder takes"
_WARNED_OF = 3  # texts that are cut off, one by one
_PROMPT_SHOWN, _LOST_SHOWN = 40, 120  # characters in a warning
_NO_ADVICE = "TRANSFORMERS_NO_ADVISORY_WARNINGS"


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
    """Text to token ids and back; `load_tokenizer` makes one.

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


@dataclasses.dataclass(frozen=True)
class _CompleteTokenizer(Tokenizer):
    """One that is complete in its ``tokenizer.json``."""

    model: tokenizers.Tokenizer

    def ids(self, texts: Sequence[str], max_length: int | None = None) -> list[list[int]]:
        encodings = [self.model.encode(text, add_special_tokens=False) for text in texts]
        if max_length is not None:
            room = max(0, max_length - self.model.num_special_tokens_to_add(is_pair=False))
            for encoding in encodings:
                encoding.truncate(room)
        return [self.model.post_process(encoding).ids for encoding in encodings]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        return self.model.decode(list(ids), skip_special_tokens=skip_special_tokens)


@dataclasses.dataclass(frozen=True)
class _TransformersTokenizer(Tokenizer):
    """One that transformers makes from the files of older checkpoints."""

    model: Any

    def ids(self, texts: Sequence[str], max_length: int | None = None) -> list[list[int]]:
        limit = {} if max_length is None else {"truncation": True, "max_length": max_length}
        return self.model(list(texts), padding=False, verbose=False, **limit)["input_ids"]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        return self.model.decode(list(ids), skip_special_tokens=skip_special_tokens)


def load_tokenizer(folder: str | Path, vocabulary: int) -> Tokenizer:
    """The tokenizer saved in a checkpoint's folder.

    A ``tokenizer.json`` is read without transformers, which older folders need.

    Args:
        folder: as transformers saves it.
        vocabulary: number of tokens that the text encoder knows.

    Raises:
        ConfigError: when a JSON file beside it is malformed.
        MissingExtraError: when it needs transformers, which is not installed.
        ValueError: when the folder holds no tokenizer, or one that does not say its longest text or its token of
            padding, pads or cuts on the left, or knows more tokens than the encoder.
    """
    folder = Path(folder)
    if not any((folder / file).exists() for file in _VOCABULARIES):
        raise ValueError(f"{folder} holds a tokenizer without its vocabulary; expected {' or '.join(_VOCABULARIES)}")
    is_complete = (folder / "tokenizer.json").exists()
    tokenizer = _load_complete(folder) if is_complete else _load_by_transformers(folder)
    if tokenizer.size > vocabulary:
        raise ValueError(
            f"{folder} holds a tokenizer of {tokenizer.size} tokens, but the text encoder knows {vocabulary}; "
            "they do not belong together"
        )
    return tokenizer


def _load_complete(folder: Path) -> Tokenizer:
    """Read ``tokenizer.json``, and from the files beside it what it does not hold, as transformers does."""
    path = folder / "tokenizer.json"
    try:
        model = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises nothing narrower
        raise ValueError(f"{path} is not a tokenizer: {error}") from error
    settings = read_json(folder / _CONFIG) if (folder / _CONFIG).exists() else {}
    if "added_tokens_decoder" not in settings and (folder / "special_tokens_map.json").exists():  # of older files
        settings |= read_json(folder / "special_tokens_map.json")
    padding, truncation = model.padding or {}, model.truncation or {}
    model.no_padding()
    model.no_truncation()
    model.encode_special_tokens = bool(settings.get("split_special_tokens", False))

    known = {token.content: token for token in model.get_added_tokens_decoder().values()}
    numbered = sorted(settings.get("added_tokens_decoder", {}).items(), key=lambda item: int(item[0]))
    added = [_added_token(folder, token) for _, token in numbered]
    model.add_tokens([token for token in added if repr(token) != repr(known.get(token.content))])
    known |= {token.content: token for token in added}
    extra = settings.get("extra_special_tokens") or settings.get("additional_special_tokens") or []
    named = [settings.get(name) for name in _NAMED_TOKENS]
    pad_token = settings.get("pad_token") or padding.get("pad_token")
    if pad_token is None:
        raise ValueError(f"{folder / _CONFIG} has no pad_token; expected the token that shorter texts are padded with")
    special = [*named, pad_token, *(extra.values() if isinstance(extra, dict) else extra)]
    special = [_added_token(folder, token) for token in special if token is not None]
    model.add_special_tokens([token for token in special if token.content not in known])
    pad_token_id = model.token_to_id(_added_token(folder, pad_token).content)
    assert pad_token_id is not None, "it was added"
    for name, stored in (("padding_side", padding), ("truncation_side", truncation)):
        side = settings.get(name, stored.get("direction", "right"))
        if side != "right":
            raise ValueError(f"{folder / _CONFIG}: {name} = {side!r}; expected 'right'")
    every = model.get_added_tokens_decoder()
    return _CompleteTokenizer(
        pad_token_id=pad_token_id,
        model_max_length=_checked_limit(folder, settings.get("model_max_length", _NO_LIMIT)),
        size=model.get_vocab_size(with_added_tokens=True),
        special_ids=frozenset(number for number, token in every.items() if token.special),
        model=model,
    )


def _added_token(folder: Path, stored: Any) -> tokenizers.AddedToken:
    """A special token as JSON holds it: its text, or all that is to be known of it."""
    facts: Any = {"content": stored} if isinstance(stored, str) else stored
    if not isinstance(facts, dict) or not isinstance(facts.get("content"), str):
        raise ValueError(f"{folder / _CONFIG} has {stored!r} among its tokens; expected a text, or an object with one")
    given: dict[str, Any] = {name: facts[name] for name in _TOKEN_FACTS if name in facts}
    given.setdefault("special", True)
    return tokenizers.AddedToken(**given)


def _load_by_transformers(folder: Path) -> Tokenizer:
    transformers = _import_transformers()
    try:
        model = transformers.AutoTokenizer.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,  # or it asks at the terminal whether to run code of the folder
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ValueError(f"{folder} does not hold a tokenizer that transformers can read: {error}") from error
    return _TransformersTokenizer(
        pad_token_id=model.pad_token_id,
        model_max_length=_checked_limit(folder, model.model_max_length),
        size=len(model),
        special_ids=frozenset(model.all_special_ids),
        model=model,
    )


def _checked_limit(folder: Path, limit: Any) -> int:
    if not isinstance(limit, int | float) or isinstance(limit, bool) or limit < 1:
        raise ValueError(f"{folder / _CONFIG}: model_max_length = {limit!r}; expected the longest text in tokens")
    if limit >= _NO_LIMIT:
        raise ValueError(f"{folder / _CONFIG} has no model_max_length; expected the longest text in tokens")
    return int(limit)


def _import_transformers() -> ModuleType:
    """Import transformers without its advice to install PyTorch, which would only bring models that are not wanted."""
    before = os.environ.get(_NO_ADVICE)
    os.environ[_NO_ADVICE] = "1"
    try:
        return import_extra("transformers", extra="transformers", purpose="a tokenizer without a tokenizer.json")
    finally:
        if before is None:
            del os.environ[_NO_ADVICE]
        else:
            os.environ[_NO_ADVICE] = before


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
        tokenizer: from `load_tokenizer`.
        texts: the batch.
        max_length: the limit in tokens, special tokens included; the tokenizer's own unless given.
        reason: why the limit is what it is, for the warning.
    """
    tokens, cuts = _tokenize(tokenizer, texts, max_length, reason)
    _warn_of(cuts)
    return tokens


def tokenize_for_both(tokenizer: Tokenizer, tokenizer_2: Tokenizer, texts: Sequence[str]) -> tuple[Tokens, Tokens]:
    """`tokenize` for CLAP and for T5; a text that both cut is warned of once."""
    clap, clap_cuts = _tokenize(tokenizer, texts)
    t5, t5_cuts = _tokenize(tokenizer_2, texts)
    _warn_of([*t5_cuts, *clap_cuts])
    return clap, t5


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
