"""All that the model is taught to know by name, as it ships with it: `litefocus_jax.models.vocabulary`."""

from examples.foley.world import captions
from examples.foley.world.everyday import words
from examples.foley.world.kinds import KINDS
from examples.foley.world.names import names_of
from litefocus_jax.models.vocabulary import SoundKind, Vocabulary

_PROMPTS = 4  # for each kind, at most


def vocabulary() -> Vocabulary:
    """Every kind with all that it is called, and prompts for it; and all other words."""
    kinds = {kind: SoundKind(_names(kind), _prompts(kind)) for kind in KINDS}
    return Vocabulary(kinds, frozenset((*captions.vocabulary(), *words())))


def _names(kind: str) -> tuple[str, ...]:
    """Its own name first, and then all others without their articles."""
    described = KINDS[kind]
    careful = [wording.usual for wording in (described.phrases, described.one, described.several) if wording]
    texts = [text.removeprefix("a ").removeprefix("an ").removeprefix("the ") for texts in careful for text in texts]
    everyday = [name.words for several in (False, True) for name in names_of(kind, several=several)]
    return tuple(dict.fromkeys((kind, *texts, *everyday)))


def _prompts(kind: str) -> tuple[str, ...]:
    """Its name alone, and what careful captions call it."""
    described = KINDS[kind]
    one = tuple(f"a {text}" for text in described.one.usual) if described.one else ()
    return tuple(dict.fromkeys((kind, *described.phrases.usual, *one)))[:_PROMPTS]
