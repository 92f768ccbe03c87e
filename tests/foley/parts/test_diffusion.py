"""The batches that the UNet learns from."""

import dataclasses

import jax
import numpy as np

from examples.foley.parts.diffusion import LatentClips
from examples.foley.world.corpus import CAPTIONS_PER_CLIP
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.models.components import AudioLDM2Components
from litefocus_jax.pipeline import AudioLDM2Pipeline
from tests.support.foley import (
    CLIPS,
    small_corpus,
)
from tests.support.models import tiny_checkpoint


def test_batches_depend_on_their_number_alone_and_hold_captions_of_their_clips() -> None:
    pipe = AudioLDM2Pipeline.from_pretrained(tiny_checkpoint())
    corpus, components = small_corpus(), AudioLDM2Components.of(pipe.components)
    mean = np.arange(CLIPS, dtype=np.float16)[:, None, None, None] * np.ones((1, 4, 2, 4), np.float16)
    source = LatentClips(components, corpus, mean, np.zeros_like(mean), batch_size=16, seed=0)
    first, again, other = source.batch(3), source.batch(3), source.batch(4)
    jax.tree.map(np.testing.assert_array_equal, first.batch, again.batch)
    assert first.names != other.names
    clips = first.batch.latents.mean[:, 0, 0, 0].astype(int)
    assert first.names == tuple(f"clip {clip}" for clip in clips)
    assert len(first.names) == 16
    assert first.batch.t5_ids is not None
    for clip, tokens in zip(clips, first.batch.t5_ids, strict=True):
        text = pipe.tokenizer_2.decode(tokens, skip_special_tokens=True)
        known = {caption[: len(text)] for caption in corpus.captions[clip]}
        assert text in known or text == ""


def test_captions_of_two_sounds_are_drawn_more_often() -> None:
    components = AudioLDM2Components.of(load_components(tiny_checkpoint()))
    corpus = dataclasses.replace(small_corpus(), kinds=((0,), (1, 2), (3,), (4,)))
    latents = np.zeros((CLIPS, 4, 2, 4), np.float16)
    drawn = (
        LatentClips(components, corpus, latents, latents, batch_size=1, seed=0, repeats_of_two=4).order.captions
        // CAPTIONS_PER_CLIP
    )
    assert np.bincount(drawn).tolist() == [CAPTIONS_PER_CLIP * times for times in (1, 4, 1, 1)]
