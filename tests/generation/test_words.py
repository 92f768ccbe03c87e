"""Words that a model was never taught are told, once for each prompt."""

import pytest

from litefocus_jax.generation.words import warn_of_unknown_words
from litefocus_jax.models.vocabulary import SoundKind, Vocabulary

RAIN = Vocabulary({"rain": SoundKind(("rain",)), "bell": SoundKind(("bell",))}, frozenset({"a"}))


def warnings_of(caplog: pytest.LogCaptureFixture, vocabulary: Vocabulary | None, *prompts: str) -> list[str]:
    caplog.clear()
    warn_of_unknown_words(vocabulary, prompts)
    return [record.getMessage() for record in caplog.records]


def test_unknown_words_are_named_with_what_is_near(caplog: pytest.LogCaptureFixture) -> None:
    (message,) = warnings_of(caplog, RAIN, "a rian", "a rian", "rain")
    assert "'rian'" in message
    assert "near them in spelling: rain" in message


def test_words_like_no_other_are_told_what_there_is(caplog: pytest.LogCaptureFixture) -> None:
    (message,) = warnings_of(caplog, RAIN, " ".join(f"x{number}" for number in range(10)))
    assert "'x5', ..." in message
    assert "it knows rain, bell" in message


def test_known_words_and_models_that_do_not_say_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_of(caplog, RAIN, "A rain?") == []
    assert warnings_of(caplog, None, "anything") == []
