"""Tokenizers that are made here, written as transformers writes them: for models that come without any."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors

from litefocus_jax.models.phonemes import LONGEST, SYMBOLS, TOKENIZER_CLASS, VOCABULARY_FILE, symbol_numbers

_SPACE = "▁"  # how T5's tokens write it
_PUNCTUATION = r"[^\p{L}\p{N}\p{M}']+|'(?!\p{L})|(?<!\p{L})'"  # apostrophes within words stay


def save_byte_pair_tokenizer(
    folder: Path,
    vocabulary: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    *,
    model_max_length: int,
    words_only: bool = False,
) -> None:
    """Write a tokenizer of RoBERTa's kind, such as CLAP's: pairs of bytes that are joined.

    Args:
        folder: is made, and gets ``tokenizer.json`` and ``tokenizer_config.json``.
        vocabulary: numbers of all tokens, ``<s>``, ``<pad>``, ``</s>``, ``<unk>`` and ``<mask>`` among them.
        merges: pairs of tokens that make one, the first first.
        model_max_length: tokens of the longest text.
        words_only: whether case, punctuation and spaces beyond one do not matter.
    """
    model = tokenizers.Tokenizer(
        models.BPE(vocab=dict(vocabulary), merges=list(merges), continuing_subword_prefix="", end_of_word_suffix="")
    )
    if words_only:
        model.normalizer = _words_only()
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    model.post_processor = processors.RobertaProcessing(
        ("</s>", vocabulary["</s>"]), ("<s>", vocabulary["<s>"]), trim_offsets=True, add_prefix_space=False
    )
    special = {
        "bos": "<s>",
        "cls": "<s>",
        "eos": "</s>",
        "mask": "<mask>",
        "pad": "<pad>",
        "sep": "</s>",
        "unk": "<unk>",
    }
    others = {"add_prefix_space": False, "errors": "replace", "trim_offsets": True}
    _save(model, folder, "RobertaTokenizer", special, model_max_length, others)


def save_piece_tokenizer(
    folder: Path, pieces: Sequence[tuple[str, float]], *, model_max_length: int, words_only: bool = False
) -> None:
    """Write a tokenizer of T5's kind: each word is split into its likeliest pieces, and ``</s>`` ends the text.

    Args:
        folder: is made, and gets ``tokenizer.json`` and ``tokenizer_config.json``.
        pieces: tokens with the logarithms of their probabilities: ``<pad>``, ``</s>``, ``<unk>``, then those of text,
            in which a space is written as ``▁``.
        model_max_length: tokens of the longest text.
        words_only: whether case, punctuation and spaces beyond one do not matter.
    """
    model = tokenizers.Tokenizer(models.Unigram(list(pieces), unk_id=[piece for piece, _ in pieces].index("<unk>")))
    if words_only:
        model.normalizer = _words_only()
    words = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always", split=True)
    model.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), words])
    model.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme="always", split=True)
    model.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"],
        pair=["$A", "</s>", "$B", "</s>"],
        special_tokens=[("</s>", [piece for piece, _ in pieces].index("</s>"))],
    )
    special = {"eos": "</s>", "pad": "<pad>", "unk": "<unk>"}
    _save(model, folder, "T5Tokenizer", special, model_max_length, {"extra_ids": 0, "extra_special_tokens": []})


def save_phoneme_tokenizer(folder: Path, *, model_max_length: int = LONGEST) -> None:
    """Write the tokenizer of models for speech: a number for each symbol of `SYMBOLS`, as transformers' VITS reads it.

    Args:
        folder: is made, and gets ``vocab.json`` and ``tokenizer_config.json``.
        model_max_length: symbols of the longest text, the one that ends it included.
    """
    settings = {
        "add_blank": False,
        "is_uroman": False,
        "language": "en-us",
        "model_max_length": model_max_length,
        "normalize": True,
        "pad_token": SYMBOLS[0],
        "phonemize": True,
        "tokenizer_class": TOKENIZER_CLASS,
        "unk_token": SYMBOLS[0],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in ((VOCABULARY_FILE, symbol_numbers()), ("tokenizer_config.json", settings)):
        (folder / name).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _words_only() -> normalizers.Normalizer:
    """Small letters in their composed form, with single spaces in the place of all that is no word."""
    return normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace("&", " and "),
            normalizers.Replace(Regex(_PUNCTUATION), " "),
            normalizers.Strip(),
        ]
    )


def _save(
    model: tokenizers.Tokenizer,
    folder: Path,
    class_name: str,
    special: dict[str, str],
    model_max_length: int,
    others: dict[str, Any],
) -> None:
    model.add_special_tokens(list(special.values()))
    folder.mkdir(parents=True, exist_ok=True)
    model.save(str(folder / "tokenizer.json"))
    settings = {
        "backend": "tokenizers",
        "model_max_length": model_max_length,
        "tokenizer_class": class_name,
        **{f"{name}_token": token for name, token in special.items()},
        **others,
    }
    text = json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")
