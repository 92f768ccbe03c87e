"""The tokenizers that are made from captions."""

from pathlib import Path

import pytest

from examples.foley.parts import model
from examples.foley.parts.tokenizers import save_tokenizers, save_tokenizers_with_words
from litefocus_jax.models.stored_tokenizers import load_tokenizer


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


def test_case_punctuation_and_spaces_do_not_matter(tmp_path: Path) -> None:
    for folder in save_tokenizers(["a low bell and rain"], tmp_path):
        tokenizer = load_tokenizer(folder, model.T5_CONFIG.vocab_size)
        texts = [
            "a low bell and rain",
            " A LOW\tBell & rain. ",
            '"a low-bell," and (Rain)!',
            "\u00a0\uff41 low bell and rain…",
        ]
        tokens = tokenizer.ids(texts)
        assert tokens == [tokens[0]] * len(texts)


def test_an_apostrophe_within_a_word_stays(tmp_path: Path) -> None:
    _, folder = save_tokenizers(["a frog's croak"], tmp_path)
    t5 = load_tokenizer(folder, model.T5_CONFIG.vocab_size)
    assert t5.decode(t5.ids(["'A frog's croak'"])[0], skip_special_tokens=True) == "a frog's croak"


def test_new_words_become_tokens_of_t5_and_old_ones_keep_theirs(tmp_path: Path) -> None:
    known = save_tokenizers(["a low bell"], tmp_path / "known")
    more = save_tokenizers_with_words(known, ["zeppelin", "bell"], tmp_path / "more")
    (old, new) = (load_tokenizer(folders[1], model.T5_CONFIG.vocab_size) for folders in (known, more))
    assert old.ids(["a low bell"]) == new.ids(["a low bell"])
    assert len(new.ids(["zeppelin"])[0]) == 2 < len(old.ids(["zeppelin"])[0])
    clap = [load_tokenizer(folders[0], model.CLAP_CONFIG.vocab_size).ids(["a zeppelin"]) for folders in (known, more)]
    assert clap[0] == clap[1]


def test_more_words_than_t5_has_room_for_are_refused(tmp_path: Path) -> None:
    known = save_tokenizers(["a low bell"], tmp_path / "known")
    with pytest.raises(ValueError, match="expected at most 768"):
        save_tokenizers_with_words(known, [f"word{number}" for number in range(768)], tmp_path / "more")
