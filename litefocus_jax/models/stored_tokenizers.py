"""The tokenizers in a checkpoint's folders, read without running or believing what lies there."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import tokenizers

from litefocus_jax.models.phonemes import is_phoneme_tokenizer, load_phoneme_tokenizer
from litefocus_jax.models.tokenization import Tokenizer
from litefocus_jax.system.extras import import_extra
from litefocus_jax.system.json_config import ConfigError, read_json
from litefocus_jax.system.messages import shown
from litefocus_jax.system.typed_json import read_as

_CONFIG = "tokenizer_config.json"
_VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model")
_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_TOKEN_FACTS = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
_NO_LIMIT = 10**20  # transformers has 10**30 as the longest text where a tokenizer's files say none
_LONGEST_TEXT = 10**6  # tokens
_NO_ADVICE = "TRANSFORMERS_NO_ADVISORY_WARNINGS"
_PROBE = "a sound"  # which any tokenizer of English text can read


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
            padding, pads or cuts on the left, cannot read a text, or has tokens that the encoder does not know.
    """
    folder = Path(folder)
    if not any((folder / file).exists() for file in _VOCABULARIES):
        raise ConfigError(f"{folder} holds a tokenizer without its vocabulary; expected {' or '.join(_VOCABULARIES)}")
    if is_phoneme_tokenizer(folder):
        limit = _checked_limit(folder, read_json(folder / _CONFIG).get("model_max_length", _NO_LIMIT))
        tokenizer = load_phoneme_tokenizer(folder, vocabulary, limit)
    else:
        is_complete = (folder / "tokenizer.json").exists()
        tokenizer = _load_complete(folder) if is_complete else _load_by_transformers(folder)
    if tokenizer.size > vocabulary:
        raise ConfigError(
            f"{folder} holds a tokenizer of {tokenizer.size} tokens, but the text encoder knows {vocabulary}; "
            "they do not belong together"
        )
    _check_probe(folder, tokenizer)
    return tokenizer


def _check_probe(folder: Path, tokenizer: Tokenizer) -> None:
    """Read a short text, whose tokens the encoder must know."""
    with _refusing(folder, "cannot read a text"):
        read, shortest = tokenizer.ids([_PROBE])[0], tokenizer.ids([""])[0]
    if len(shortest) >= tokenizer.model_max_length:
        raise ConfigError(
            f"{folder / _CONFIG}: model_max_length = {tokenizer.model_max_length}; expected more than the "
            f"{len(shortest)} tokens that stand around a text"
        )
    if not read or not all(0 <= number < tokenizer.size for number in [*read, tokenizer.pad_token_id]):
        raise ConfigError(f"{folder} holds a tokenizer that reads {_PROBE!r} as {shown(read)}; expected its own tokens")


@contextlib.contextmanager
def _refusing(path: Path, problem: str) -> Iterator[None]:
    """Have whatever goes wrong within a library be one error about a file.

    Raises:
        ConfigError: in the place of what the block raises.
    """
    try:
        yield
    except ConfigError:
        raise
    except BaseException as error:  # a panic of the package's Rust code is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | MemoryError):
            raise
        raise ConfigError(f"{path} {problem}: {error}") from error


def _load_complete(folder: Path) -> Tokenizer:
    """Read ``tokenizer.json``, and from the files beside it what it does not hold, as transformers does."""
    path = folder / "tokenizer.json"
    try:
        stored = read_json(path)  # of any depth, which the package recurses into
    except ConfigError as error:
        raise ConfigError(f"{path} is not a tokenizer: {error}") from None
    _check_stored(path, stored)
    with _refusing(path, "is not a tokenizer"):
        model = tokenizers.Tokenizer.from_file(str(path))
    settings = read_json(folder / _CONFIG) if (folder / _CONFIG).exists() else {}
    if "added_tokens_decoder" not in settings and (folder / "special_tokens_map.json").exists():  # of older files
        settings |= read_json(folder / "special_tokens_map.json")
    with _refusing(folder, "does not hold a tokenizer that can be used"):
        return _completed(folder, model, settings)


def _check_stored(path: Path, stored: Mapping[str, Any]) -> None:
    """Refuse what is no tokenizer, or one that knows nothing."""
    model = stored.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, dict | list) or not vocabulary:
        raise ConfigError(f"{path} is not a tokenizer: model.vocab = {shown(vocabulary)}; expected tokens")
    numbers = vocabulary.values() if isinstance(vocabulary, dict) else ()
    if any(type(number) is not int or not 0 <= number < 2**31 for number in numbers):
        raise ConfigError(f"{path} is not a tokenizer: model.vocab has numbers that are none of tokens")


def _completed(folder: Path, model: tokenizers.Tokenizer, settings: Mapping[str, Any]) -> Tokenizer:
    padding, truncation = model.padding or {}, model.truncation or {}
    model.no_padding()
    model.no_truncation()
    split = settings.get("split_special_tokens", False)
    model.encode_special_tokens = read_as(bool, split, f"{folder / _CONFIG}: split_special_tokens")

    known = {token.content: token for token in model.get_added_tokens_decoder().values()}
    numbered = settings.get("added_tokens_decoder", {})
    if not isinstance(numbered, dict) or not all(number.isdecimal() and len(number) < 10 for number in numbered):
        raise ConfigError(f"{folder / _CONFIG}: added_tokens_decoder = {shown(numbered)}; expected tokens by number")
    added = [_added_token(folder, token) for _, token in sorted(numbered.items(), key=lambda item: int(item[0]))]
    model.add_tokens([token for token in added if repr(token) != repr(known.get(token.content))])
    known |= {token.content: token for token in added}
    extra = settings.get("extra_special_tokens") or settings.get("additional_special_tokens") or []
    if not isinstance(extra, dict | list):
        raise ConfigError(f"{folder / _CONFIG}: extra_special_tokens = {shown(extra)}; expected a list of tokens")
    named = [settings.get(name) for name in _NAMED_TOKENS]
    pad_token = settings.get("pad_token") or padding.get("pad_token")
    if pad_token is None:
        raise ConfigError(f"{folder / _CONFIG} has no pad_token; expected the token that shorter texts are padded with")
    special = [*named, pad_token, *(extra.values() if isinstance(extra, dict) else extra)]
    special = [_added_token(folder, token) for token in special if token is not None]
    model.add_special_tokens([token for token in special if token.content not in known])
    pad_token_id = model.token_to_id(_added_token(folder, pad_token).content)
    if pad_token_id is None:
        raise ConfigError(f"{folder / _CONFIG}: pad_token = {shown(pad_token)}; expected a token")
    for name, stored in (("padding_side", padding), ("truncation_side", truncation)):
        side = settings.get(name, stored.get("direction", "right"))
        if side != "right":
            raise ConfigError(f"{folder / _CONFIG}: {name} = {shown(side)}; expected 'right'")
    every = model.get_added_tokens_decoder()
    return _CompleteTokenizer(
        pad_token_id=pad_token_id,
        model_max_length=_checked_limit(folder, settings.get("model_max_length", _NO_LIMIT)),
        # Not how many there are: numbers may be left out.
        size=max(model.get_vocab(with_added_tokens=True).values()) + 1,
        special_ids=frozenset(number for number, token in every.items() if token.special),
        model=model,
    )


def _added_token(folder: Path, stored: Any) -> tokenizers.AddedToken:
    """A special token as JSON holds it: its text, or all that is to be known of it."""
    facts: Any = {"content": stored} if isinstance(stored, str) else stored
    if not isinstance(facts, dict) or not isinstance(facts.get("content"), str) or not facts["content"]:
        raise ConfigError(
            f"{folder / _CONFIG} has {shown(stored)} among its tokens; expected a text, or an object with one"
        )
    given: dict[str, Any] = {name: facts[name] for name in _TOKEN_FACTS if name in facts}
    for name, value in given.items():
        read_as(str if name == "content" else bool, value, f"{folder / _CONFIG}: {name} of {shown(facts['content'])}")
    given.setdefault("special", True)
    return tokenizers.AddedToken(**given)


def _load_by_transformers(folder: Path) -> Tokenizer:
    transformers = _import_transformers()
    with _refusing(folder, "does not hold a tokenizer that transformers can read"):
        for path in sorted(folder.glob("*.json")):
            read_json(path)
        model = transformers.AutoTokenizer.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,  # or it asks at the terminal whether to run code of the folder
        )
        if model.pad_token_id is None:
            raise ConfigError(f"{folder} has no pad_token; expected the token that shorter texts are padded with")
        return _TransformersTokenizer(
            pad_token_id=model.pad_token_id,
            model_max_length=_checked_limit(folder, model.model_max_length),
            size=max(model.get_vocab().values()) + 1,
            special_ids=frozenset(model.all_special_ids),
            model=model,
        )


def _checked_limit(folder: Path, limit: Any) -> int:
    if type(limit) not in (int, float) or not limit >= 1 or limit != limit // 1:
        raise ConfigError(f"{folder / _CONFIG}: model_max_length = {shown(limit)}; expected the longest text in tokens")
    if limit >= _NO_LIMIT:
        raise ConfigError(f"{folder / _CONFIG} has no model_max_length; expected the longest text in tokens")
    if limit > _LONGEST_TEXT:
        raise ConfigError(
            f"{folder / _CONFIG}: model_max_length = {shown(limit)}; expected at most {_LONGEST_TEXT:,} tokens"
        )
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
