"""Batches for training out of a folder of sounds: clips drawn at random, as latents, and their captions, as tokens."""

import dataclasses
import functools
import logging
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from litefocus_jax.decoding.encoding import encode_mels, mel_of
from litefocus_jax.models.components import Components, LatentGeometry
from litefocus_jax.models.stored_tokenizers import load_tokenizer
from litefocus_jax.models.t5 import T5Encoder
from litefocus_jax.models.tokenization import tokenize_for_each
from litefocus_jax.training.data import Dataset, Short, Sound, audible_share, read_clip
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.speech import refuse_speech
from litefocus_jax.training.updates import NamedBatch

logger = logging.getLogger(__name__)

# First numbers of the two families of random draws, so that they have nothing to do with each other.
_ORDER, _CLIPS = range(2)
_NAMED = 3  # sounds in a message
_MOSTLY = 0.5  # share of a clip


@dataclasses.dataclass(frozen=True)
class DrawnClip:
    """What chance decides about one clip.

    Attributes:
        sound: its number in the data set.
        place: where in the sound it begins, as `read_clip` counts.
        has_caption: whether the caption is kept.
        caption: its number among those of the sound.
    """

    sound: int
    place: float
    has_caption: bool
    caption: int = 0


class AudioBatches:
    """Batches of clips from a data set; the same arguments make the same batches.

    Clips are numbered through all epochs. In an epoch every pair of sound and caption comes once, in a new order.
    Sounds are decoded when their batch is asked for, and nothing of them is kept.

    Args:
        dataset: from `open_dataset`.
        components: their VAE, vocoder and tokenizers say what a batch is made of.
        batch_size: clips in a batch.
        audio_length_in_s: of each clip, rounded up to whole latent frames; what the model was trained on unless given.
        caption_dropout: share of the clips whose caption is replaced by ``""``.
        seed: of all that is drawn.
        peak: what the greatest sample of every clip becomes, as `read_clip` does it. AudioLDM2 was trained at 0.5
            (``normalize_wav`` of its authors' code). None leaves levels alone, for captions that speak of them.
        short: what becomes of sounds that are shorter than a clip, and of silence around them; see `read_clip`.

    Attributes:
        mostly_silent: the sounds of whose clips, on average, less than half can be heard.

    Raises:
        ValueError: when the length is missing or shorter than a latent frame, the peak is not between 0 and 1, what
            becomes of short sounds is unknown, or models or tokenizers do not belong together.
    """

    def __init__(
        self,
        dataset: Dataset,
        components: Components,
        *,
        batch_size: int,
        audio_length_in_s: float | None = None,
        caption_dropout: float = 0.1,
        seed: int = 0,
        peak: float | None = None,
        short: Short = "repeat",
    ) -> None:
        refuse_speech(components.model_type)
        if peak is not None and not 0.0 < peak <= 1.0:
            raise ValueError(f"peak = {peak}; expected more than 0 and at most 1, which is full scale, or None")
        geometry = LatentGeometry.from_configs(
            unet=components.unet.config, vae=components.vae.config, vocoder=components.vocoder.config
        )
        self.dataset = dataset
        self.samples = clip_samples(geometry, audio_length_in_s)
        self.sampling_rate = geometry.sampling_rate
        self.batch_size = batch_size
        self.caption_dropout = caption_dropout
        self.seed = seed
        self.peak = peak
        self.short: Short = short
        shares = [
            audible_share(sound, samples=self.samples, sampling_rate=self.sampling_rate, short=short)
            for sound in dataset.sounds
        ]
        self.mostly_silent = tuple(
            sound for sound, share in zip(dataset.sounds, shares, strict=True) if share < _MOSTLY
        )
        if self.mostly_silent:
            logger.warning(
                "%d of %d sounds are mostly silence in clips of %g s, which their captions will teach (%s). %s",
                len(self.mostly_silent),
                len(dataset.sounds),
                self.audio_length_in_s,
                named(self.mostly_silent),
                "Repeat short ones (--short repeat), or make shorter clips (-d)"
                if short == "pad"
                else "Make shorter clips (-d), or cut the pauses out of these sounds",
            )
        self._vae = components.vae
        self._vocoder_config = components.vocoder.config
        # The last row is the dropped caption's. All are padded to one length, so that one program serves all batches.
        texts = [*(caption for sound in dataset.sounds for caption in sound.captions), ""]
        self._first_rows = np.cumsum([0, *(len(sound.captions) for sound in dataset.sounds)])
        sizes = components.vocabulary_sizes
        tokenizers = [load_tokenizer(place, sizes[name]) for name, place in components.tokenizers.items()]
        readers = [components.modules[reader] for reader in components.model_type.tokenizers.values()]
        names = ["t5" if isinstance(reader, T5Encoder) else "clap" for reader in readers]
        self._tokens = dict(zip(names, tokenize_for_each(tokenizers, texts), strict=True))
        self._order = functools.lru_cache(maxsize=2)(self._draw_order)

    @property
    def audio_length_in_s(self) -> float:
        """Seconds of each clip."""
        return self.samples / self.sampling_rate

    @property
    def description(self) -> str:
        """What decides the batches besides their size, the dropout and the seed, in a few words."""
        level = "" if self.peak is None else f" with a peak of {self.peak:g}"
        silence = "" if self.short == "repeat" else ", followed by silence where they are shorter"
        clips = f"clips of {self.audio_length_in_s:g} s{level}{silence}"
        return f"{len(self.dataset.sounds)} sounds ({self.dataset.digest}) in {clips}"

    @property
    def repeated(self) -> tuple[Sound, ...]:
        """The sounds of which a clip holds more than two, one after the other."""
        if self.short != "repeat":
            return ()
        half = self.audio_length_in_s / 2
        return tuple(
            sound
            for sound in self.dataset.sounds
            if (sound.audible[-1][1] - sound.audible[0][0]) / sound.sampling_rate < half
        )

    def draw(self, index: int) -> list[DrawnClip]:
        """What chance decides about a batch, counted from 0."""
        return [self._draw_clip(index * self.batch_size + place) for place in range(self.batch_size)]

    def batch(self, index: int) -> NamedBatch[Batch]:
        """The clips of an update, counted from 0; see `litefocus_jax.training.sources.Source`.

        Raises:
            OSError: when a file cannot be read any more.
            ValueError: when a clip holds NaN or infinity.
        """
        return self.share(index, range(self.batch_size))

    def share(self, index: int, clips: Sequence[int]) -> NamedBatch[Batch]:
        """Some clips of an update, by their places in its batch; no other sounds are read.

        The names are those of all clips of the batch. Raises what `batch` does.
        """
        all_drawn = self.draw(index)
        names = tuple(self.dataset.sounds[clip.sound].file_name for clip in all_drawn)
        drawn = [all_drawn[place] for place in clips]
        sounds = [self.dataset.sounds[clip.sound] for clip in drawn]
        mels = np.stack([self.mel(sound, clip.place) for sound, clip in zip(sounds, drawn, strict=True)])
        rows = [self._first_rows[clip.sound] + clip.caption if clip.has_caption else -1 for clip in drawn]
        batch = Batch(
            encode_mels(self._vae, mels),
            **{f"{name}_ids": tokens.input_ids[rows] for name, tokens in self._tokens.items()},
            **{f"{name}_mask": tokens.attention_mask[rows] for name, tokens in self._tokens.items()},
        )
        return NamedBatch(batch, names)

    def mel(self, sound: Sound, place: float) -> Float[np.ndarray, "frames mel_bins"]:
        """The log-mel spectrogram of a clip, as many frames as the VAE makes latents from."""
        waveform = read_clip(
            sound,
            place,
            samples=self.samples,
            sampling_rate=self.sampling_rate,
            peak=self.peak,
            short=self.short,
        )
        return mel_of(waveform, self._vocoder_config)

    def _draw_order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, _ORDER, epoch]).permutation(len(self.dataset.sounds))

    def _draw_clip(self, number: int) -> DrawnClip:
        epoch, place_in_epoch = divmod(number, len(self.dataset.sounds))
        place, chance, caption = np.random.default_rng([self.seed, _CLIPS, number]).random(3)
        sound = int(self._order(epoch)[place_in_epoch])
        has_caption = bool(chance >= self.caption_dropout)
        return DrawnClip(sound, float(place), has_caption, int(caption * len(self.dataset.sounds[sound].captions)))


def named(sounds: Sequence[Sound]) -> str:
    """The names of the first few, for a message."""
    names = list(dict.fromkeys(sound.file_name for sound in sounds))
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def clip_samples(geometry: LatentGeometry, audio_length_in_s: float | None) -> int:
    """Samples of a clip for training: whole latent frames.

    Args:
        geometry: of the model.
        audio_length_in_s: at least this many seconds; what the model was trained on unless given.

    Raises:
        ValueError: when the length is missing, not finite, or shorter than a latent frame.
    """
    if audio_length_in_s is None:
        if geometry.training_frames is None:
            raise ValueError("audio_length_in_s is not given, and the UNet's sample_size does not say a default")
        return geometry.training_frames * geometry.samples_per_latent_frame
    if not (math.isfinite(audio_length_in_s) and audio_length_in_s >= geometry.frame_in_s):
        raise ValueError(
            f"audio_length_in_s = {audio_length_in_s:g}; expected at least one latent frame, {geometry.frame_in_s:g} s"
        )
    return geometry.latent_frames(audio_length_in_s) * geometry.samples_per_latent_frame
