"""What a model for speech is to say: the texts of a request, and their phonemes."""

import dataclasses
from typing import Any

from litefocus_jax.generation.checks import texts_of
from litefocus_jax.generation.pronunciation import phonemes_of, tidied
from litefocus_jax.models.model_type import ModelType
from litefocus_jax.system.messages import shown

_NAMES = ("transcription", "phonemes")


@dataclasses.dataclass(frozen=True)
class Speech:
    """What is said in each sound of a request.

    Attributes:
        phonemes: for each prompt, in the phonetic alphabet.
        transcriptions: for each prompt, as it is written; None where phonemes alone were given.
    """

    phonemes: tuple[str, ...]
    transcriptions: tuple[str, ...] | None = None


def make_speech(
    model_type: ModelType, transcription: Any, phonemes: Any, prompts: int, *, is_text: bool
) -> Speech | None:
    """Check what is to be said, and find its phonemes; None for a model that says nothing, or prompts as vectors.

    Where phonemes are given, they are said; the transcription beside them is kept for those who read.

    Args:
        model_type: of the model.
        transcription: as of `RequestOptions`.
        phonemes: likewise.
        prompts: how many there are.
        is_text: whether they are words; vectors hold what is said.

    Raises:
        TypeError: for what is no text.
        ValueError: when a model that does not speak is told what to say, one that does is not, or there are not as many
            texts as prompts.
        MissingExtraError: when phonemes are to be found, and the library for it is not installed.
    """
    given = [name for name, value in zip(_NAMES, (transcription, phonemes), strict=True) if value is not None]
    if not model_type.speaks:
        if given:
            raise ValueError(
                f"{given[0]} is for a model that speaks, such as audioldm2-gigaspeech; this one is "
                f"{model_type.described}: leave it out, and say what is to be heard in prompt"
            )
        return None
    if not is_text:
        if given:
            raise ValueError(f"{given[0]} is given beside prompts as vectors, which hold what is said; leave it out")
        return None
    if not given:
        raise ValueError(
            f"transcription is missing: the model is {model_type.described}, which has to be told what to say; "
            'expected a text, as in transcription="Have a good day." (--transcription), beside the prompt that says '
            "who speaks and how"
        )
    written = None if transcription is None else _one_each("transcription", transcription, prompts)
    if phonemes is not None:
        spoken = tuple(map(tidied, _one_each("phonemes", phonemes, prompts)))
    else:
        found = {text: phonemes_of(text) for text in dict.fromkeys(written or ())}
        spoken = tuple(found[text] for text in written or ())
    return Speech(spoken, written)


def _one_each(name: str, value: Any, prompts: int) -> tuple[str, ...]:
    texts = texts_of(name, value)
    if len(texts) == 1:
        texts *= prompts
    if len(texts) != prompts:
        raise ValueError(
            f"{name} has {len(texts)} texts for {prompts} prompts, {shown(texts[0])} the first of them; expected one "
            "for all, or one for each"
        )
    return texts
