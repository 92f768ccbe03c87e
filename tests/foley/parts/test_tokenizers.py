"""The tokenizers that are made from captions."""

from pathlib import Path

from examples.foley.parts import model
from examples.foley.parts.tokenizers import save_tokenizers
from litefocus_jax.models.tokenization import load_tokenizer


def test_tokenizers_know_the_words_of_the_captions(tmp_path: Path) -> None:
    captions = ["a low bell", "a high bell while rain can be heard"]
    folders = save_tokenizers(captions, tmp_path)
    clap = load_tokenizer(folders[0], model.CLAP_CONFIG.vocab_size)
    t5 = load_tokenizer(folders[1], model.T5_CONFIG.vocab_size)
    (words, unseen) = t5.ids(["a low bell", "a zeppelin"])
    assert [t5.decode([token]) for token in words] == ["a", "low", "bell", "</s>"]
    assert "<unk>" not in t5.decode(unseen)
    for tokenizer in (clap, t5):
        (tokens,) = tokenizer.ids(["rain while a bell"])
        assert tokenizer.decode(tokens, skip_special_tokens=True).strip() == "rain while a bell"
