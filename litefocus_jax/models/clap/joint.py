"""Both towers of CLAP: sounds and captions as vectors of length one in one space."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float

from litefocus_jax.models.clap.audio import ClapAudioModel
from litefocus_jax.models.clap.features import ClapFeaturesConfig, clap_features
from litefocus_jax.models.clap.text import ClapTextModel
from litefocus_jax.models.tokenization import Tokenizer, tokenize


@dataclasses.dataclass(frozen=True, eq=False)
class Clap:
    """CLAP, ready to compare sounds with captions.

    Attributes:
        text: the tower for captions.
        audio: the tower for sound.
        tokenizer: of the captions.
        features: what the tower for sound sees of a sound.
    """

    text: ClapTextModel
    audio: ClapAudioModel
    tokenizer: Tokenizer
    features: ClapFeaturesConfig

    @property
    def sampling_rate(self) -> int:
        """Of the sounds that `embed_sound` takes, in hertz."""
        return self.features.sampling_rate

    def embed_sound(self, waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " features"]:
        """A sound's place in the space. Of one that is longer than 10 s pieces are seen, see `clap_features`.

        Args:
            waveform: at ``sampling_rate``.

        Raises:
            ValueError: when it is empty, not one-dimensional, or not finite.
        """
        mel, is_longer = clap_features(waveform, self.features)
        return np.asarray(_embed_sounds(self.audio, mel[None], np.array([is_longer]))[0])

    def embed_captions(self, captions: Sequence[str]) -> Float[np.ndarray, "captions features"]:
        """The places of captions, in their order; each is encoded by itself."""
        embedded = []
        for caption in captions:
            tokens = tokenize(self.tokenizer, [caption])
            embedded.append(np.asarray(_embed_captions(self.text, tokens.input_ids, tokens.attention_mask)[0]))
        return np.stack(embedded)


_embed_sounds = jax.jit(lambda tower, mel, is_longer: tower(mel, is_longer))
_embed_captions = jax.jit(lambda tower, input_ids, attention_mask: tower(input_ids, attention_mask))
