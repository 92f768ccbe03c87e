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
    save_byte_pair_tokenizer(folder / "tokenizer", vocabulary, merges, model_max_length=LONGEST_PROMPT)
    save_piece_tokenizer(folder / "tokenizer_2", _pieces(captions), model_max_length=LONGEST_PROMPT)
    return folder / "tokenizer", folder / "tokenizer_2"


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
    if len(pieces) > T5_CONFIG.vocab_size:
        raise ValueError(
            f"the captions have {len(words)} words; expected {T5_CONFIG.vocab_size} tokens with all characters"
        )
    return pieces
