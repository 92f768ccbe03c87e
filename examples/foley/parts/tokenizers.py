"""Both tokenizers of the model, made from the words of its captions."""

import json
import math
import string
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from examples.foley.parts.model import CLAP_CONFIG, LONGEST_PROMPT, T5_CONFIG
from litefocus_jax.checkpoint.tokenizer_files import save_byte_pair_tokenizer, save_piece_tokenizer
from litefocus_jax.system.json_config import read_json


def save_tokenizers(captions: Iterable[str], folder: Path) -> tuple[Path, Path]:
    """Make both tokenizers from the words of captions; the same captions give the same files.

    CLAP's joins bytes into the captions' frequent words (byte-pair encoding). T5's has one token per word. Both fall
    back to single characters for words that they do not know.

    Args:
        captions: of the training sounds.
        folder: gets the folders ``tokenizer`` and ``tokenizer_2``.

    Returns:
        The two folders.

    Raises:
        ValueError: when the captions have more different words than T5's vocabulary has room for.
    """
    captions = list(captions)
    vocabulary, merges = _byte_pairs(captions)
    return _save(folder, vocabulary, merges, _pieces(captions))


def save_tokenizers_with_words(known: tuple[Path, Path], words: Iterable[str], folder: Path) -> tuple[Path, Path]:
    """Make tokenizers that write known words as others do, and new words as one token of T5's each.

    Args:
        known: folders of CLAP's tokenizer and of T5's, as `save_tokenizers` makes them.
        words: to be known; those that already are do not matter.
        folder: gets the folders ``tokenizer`` and ``tokenizer_2``.

    Returns:
        The two folders.

    Raises:
        ValueError: when T5's vocabulary has no room for the words.
    """
    clap, t5 = (read_json(path / "tokenizer.json")["model"] for path in known)
    pieces = [(piece, score) for piece, score in t5["vocab"]]
    there, rarest = {piece for piece, _ in pieces}, min(score for piece, score in pieces if piece.startswith("▁"))
    pieces += [(f"▁{word}", rarest) for word in sorted(set(words)) if f"▁{word}" not in there]
    return _save(folder, clap["vocab"], [tuple(pair) for pair in clap["merges"]], pieces)


def _save(
    folder: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]], pieces: list[tuple[str, float]]
) -> tuple[Path, Path]:
    if len(pieces) > T5_CONFIG.vocab_size:
        raise ValueError(f"{len(pieces)} tokens with all characters; expected at most {T5_CONFIG.vocab_size}")
    clap, t5 = folder / "tokenizer", folder / "tokenizer_2"
    save_byte_pair_tokenizer(clap, vocabulary, merges, model_max_length=LONGEST_PROMPT, words_only=True)
    save_piece_tokenizer(t5, pieces, model_max_length=LONGEST_PROMPT, words_only=True)
    return clap, t5


def _byte_pairs(captions: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    import tokenizers

    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=CLAP_CONFIG.vocab_size - 1,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.train_from_iterator(captions, trainer)
    trained: dict[str, Any] = json.loads(model.to_str())["model"]
    vocabulary = trained["vocab"]
    vocabulary["<mask>"] = len(vocabulary)
    return vocabulary, [tuple(pair) for pair in trained["merges"]]


def _pieces(captions: list[str]) -> list[tuple[str, float]]:
    """T5's tokens with the logarithms of their shares, words before the characters they are made of."""
    counts = Counter(word for caption in captions for word in caption.split())
    total = sum(counts.values())
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    words = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    pieces += [(f"▁{word}", math.log(count / total)) for word, count in words]
    rarest = math.log(1 / total)
    characters = ["▁", *string.ascii_lowercase, *string.digits, *"'-,.!?"]
    pieces += [(character, 2.0 * rarest) for character in characters]
    return pieces
