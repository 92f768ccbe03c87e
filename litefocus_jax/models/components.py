"""What "a model" is: its networks, by their folders' names, and how their sizes fit together."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.clap.text import ClapTextModel
from litefocus_jax.models.encoders import Encoders, encoders_of
from litefocus_jax.models.generation_defaults import PUBLISHED, GenerationDefaults
from litefocus_jax.models.gpt2 import GPT2
from litefocus_jax.models.model_type import AUDIOLDM2, AUDIOLDM2_SPEECH, ModelType
from litefocus_jax.models.projection import ProjectionModel
from litefocus_jax.models.t5 import T5Encoder
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.models.vae import VAE, VAEConfig
from litefocus_jax.models.vits import VitsConfig, VitsTextEncoder
from litefocus_jax.models.vocabulary import Vocabulary
from litefocus_jax.models.vocoder import Vocoder, VocoderConfig
from litefocus_jax.system.json_config import JsonConfig

NETWORKS = AUDIOLDM2.networks
"""Every network of an AudioLDM2 that has weights, by its folder in a checkpoint, which is also its name in
`AudioLDM2Components`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Components:
    """The parts of a model, under diffusers' names: all that an AudioLDM or a MusicLDM has. Each module holds its
    configuration as ``.config``.

    Attributes:
        model_type: which of the family it is.
        unet: the denoiser.
        vae: mel spectrogram to latent and back.
        vocoder: mel spectrogram to sound.
        text_encoder: CLAP's text tower; T5's encoder in a model that reads T5 alone.
        scheduler: the noise schedule.
        tokenizer: folder of its tokenizer.
        dtype: floating-point type of the weights, such as ``"bfloat16"``; VAE and vocoder are float32 in any case.
        defaults: how it is sampled where a request does not say.
        vocabulary: what it knows by name, or None where it does not say.
    """

    model_type: ModelType
    unet: UNet
    vae: VAE
    vocoder: Vocoder
    text_encoder: ClapTextModel | T5Encoder
    scheduler: SchedulerConfig
    tokenizer: Path
    dtype: str
    defaults: GenerationDefaults = PUBLISHED
    vocabulary: Vocabulary | None = None

    if not TYPE_CHECKING:  # to whom a part that there is not is an error

        def __getattr__(self, name: str) -> Any:
            """Say which parts there are, where one is asked for that the model has not, such as AudioLDM's second text
            encoder."""
            model_type = self.__dict__.get("model_type")
            parts = "" if model_type is None else f"; {model_type.described} has {', '.join(model_type.networks)}"
            raise AttributeError(f"{type(self).__name__} has no {name!r}{parts}", name=name, obj=self)

    @property
    def modules(self) -> dict[str, Any]:
        """The networks, by folder name."""
        return {name: getattr(self, name) for name in self.model_type.networks}

    @property
    def encoders(self) -> Encoders:
        """The networks that read prompts."""
        return encoders_of(self.modules)

    @property
    def tokenizers(self) -> dict[str, Path]:
        """The folders of the tokenizers, by name."""
        return {name: getattr(self, name) for name in self.model_type.tokenizers}

    @property
    def vocabulary_sizes(self) -> dict[str, int]:
        """How many tokens the reader of each tokenizer knows, by the tokenizer's name."""
        readers = self.model_type.tokenizers
        return {name: self.modules[reader].config.vocab_size for name, reader in readers.items()}

    @property
    def facts(self) -> "ModelFacts":
        """What is known of the model without its weights.

        Raises:
            ValueError: when the networks do not fit together.
        """
        configs = {name: module.config for name, module in self.modules.items()}
        geometry = LatentGeometry.from_configs(**configs)
        return ModelFacts(geometry, self.scheduler, self.unet.config, self.defaults, self.vocabulary, self.model_type)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioLDM2Components(Components):
    """The parts of an AudioLDM2: those of `Components`, and what reads a prompt word by word.

    Attributes:
        text_encoder_2: Flan-T5's encoder.
        language_model: GPT-2.
        projection_model: joins the text encoders' outputs for GPT-2.
        tokenizer_2: folder of T5's tokenizer.
    """

    model_type: ModelType = AUDIOLDM2
    text_encoder: ClapTextModel
    text_encoder_2: T5Encoder
    language_model: GPT2
    projection_model: ProjectionModel
    tokenizer_2: Path

    @classmethod
    def of(cls, components: Components) -> "AudioLDM2Components":
        """The parts of a model that is to be an AudioLDM2.

        Raises:
            ValueError: when it is another one of the family.
        """
        if not isinstance(components, cls):
            raise ValueError(f"the model is {components.model_type.described}; expected an AudioLDM2")
        return components


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechComponents(Components):
    """The parts of an AudioLDM2 for speech: those of `Components`, and what reads phonemes.

    Attributes:
        text_encoder_2: VITS' encoder of phonemes.
        language_model: GPT-2.
        projection_model: joins the text encoders' outputs for GPT-2.
        tokenizer_2: folder of the tokenizer of phonemes.
    """

    model_type: ModelType = AUDIOLDM2_SPEECH
    text_encoder_2: VitsTextEncoder
    language_model: GPT2
    projection_model: ProjectionModel
    tokenizer_2: Path


def components_of(model_type: ModelType, **parts: Any) -> Components:
    """The parts of a model of any type.

    Args:
        model_type: which of the family it is.
        parts: as for `Components`, or the one of its kinds that belongs to the type.
    """
    spoken_or_not = SpeechComponents if model_type.speaks else AudioLDM2Components
    kind = spoken_or_not if model_type.has_language_model else Components
    return kind(model_type=model_type, **parts)


def differences_in_width(configs: Mapping[str, Any]) -> list[str]:
    """Where one network's output is not as wide as the next one's input, in words; empty where all fit together.

    Args:
        configs: the configuration of every network, by folder name.
    """
    if "projection_model" in configs:
        problems = _differences_in_text(configs)
    elif configs["unet"].class_labels_dim is not None:
        problems = _differences_in_labels(configs)
    else:
        problems = _differences_in_words(configs)
    vae_config = configs["vae"]
    if vae_config.in_channels != 1 or vae_config.out_channels != 1:
        problems.append(
            f"vae: in_channels = {vae_config.in_channels} and out_channels = {vae_config.out_channels}; expected 1, "
            "since a mel spectrogram has one"
        )
    return list(dict.fromkeys(problems))


def _differences_in_labels(configs: Mapping[str, Any]) -> list[str]:
    """Of a model that knows a prompt by CLAP's vector alone."""
    given, taken = configs["text_encoder"].projection_dim, configs["unet"].class_labels_dim
    if given == taken:
        return []
    return [
        f"text_encoder: projection_dim = {given}, but unet: projection_class_embeddings_input_dim = {taken}; these "
        "sub-models do not belong together"
    ]


def _differences_in_words(configs: Mapping[str, Any]) -> list[str]:
    """Of a model whose UNet reads T5's states of a prompt, and nothing else."""
    given = configs["text_encoder"].d_model
    problems = []
    for dims in configs["unet"].cross_attention_dim_per_level:
        if len(dims) > 2:
            problems.append(
                f"unet: cross_attention_dim has {len(dims)} transformers in a level; expected one or two, since there "
                "is one text encoder"
            )
        problems += [
            f"text_encoder: d_model = {given}, but unet: cross_attention_dim = {dim}; these sub-models do not belong "
            "together"
            for dim in dims
            if dim not in (None, given)
        ]
    return problems


def _differences_in_text(configs: Mapping[str, Any]) -> list[str]:
    """Of an AudioLDM2."""
    joint, second = configs["projection_model"], configs["text_encoder_2"]
    clap_width, gpt2_width = configs["text_encoder"].projection_dim, configs["language_model"].n_embd
    field = "hidden_size" if isinstance(second, VitsConfig) else "d_model"
    clap, t5 = ("text_encoder: projection_dim", clap_width), (f"text_encoder_2: {field}", getattr(second, field))
    language_model = ("language_model: n_embd", gpt2_width)
    pairs = [
        (clap, ("projection_model: text_encoder_dim", joint.text_encoder_dim)),
        (t5, ("projection_model: text_encoder_1_dim", joint.text_encoder_1_dim)),
        (language_model, ("projection_model: langauge_model_dim", joint.langauge_model_dim)),
    ]
    for dims in configs["unet"].cross_attention_dim_per_level:
        # The first two transformers of a layer read the language model, the others the second text encoder.
        pairs += [
            (language_model if place < 2 else t5, ("unet: cross_attention_dim", dim))
            for place, dim in enumerate(dims)
            if dim is not None
        ]
    return [
        f"{first} = {width}, but {second} = {other}; these sub-models do not belong together"
        for (first, width), (second, other) in pairs
        if width != other
    ]


@dataclasses.dataclass(frozen=True)
class LatentGeometry:
    """How seconds of sound, mel frames and latent frames follow from one another.

    Attributes:
        sampling_rate: samples per second.
        samples_per_latent_frame: vocoder hop times the VAE's down-sampling.
        frequencies: latent frequencies.
        channels: latent channels.
        training_frames: latent frames of the clips the model was trained on.
    """

    sampling_rate: int
    samples_per_latent_frame: int
    frequencies: int
    channels: int
    training_frames: int | None

    @classmethod
    def from_configs(
        cls, *, unet: UNetConfig, vae: VAEConfig, vocoder: VocoderConfig, **others: JsonConfig
    ) -> "LatentGeometry":
        """Read the geometry off the sub-models; ``others`` may be given, and are not looked at.

        Raises:
            ValueError: when the sub-models do not fit together.
        """
        if vocoder.model_in_dim % vae.scale_factor:
            raise ValueError(
                f"the vocoder takes {vocoder.model_in_dim} mel bins, not a multiple of the VAE's factor "
                f"{vae.scale_factor}; these sub-models do not belong together"
            )
        if unet.in_channels != vae.latent_channels or unet.out_channels != vae.latent_channels:
            raise ValueError(
                f"the UNet maps {unet.in_channels} to {unet.out_channels} channels, but the VAE's latents have "
                f"{vae.latent_channels}; these sub-models do not belong together"
            )
        return cls(
            sampling_rate=vocoder.sampling_rate,
            samples_per_latent_frame=vocoder.hop_length * vae.scale_factor,
            frequencies=vocoder.model_in_dim // vae.scale_factor,
            channels=vae.latent_channels,
            training_frames=unet.sample_size,
        )

    @property
    def frame_in_s(self) -> float:
        """Seconds of sound in one latent frame."""
        return self.samples_per_latent_frame / self.sampling_rate

    @property
    def training_length_in_s(self) -> float | None:
        """Seconds of the clips the model was trained on, or None where the UNet does not say."""
        return None if self.training_frames is None else self.training_frames * self.frame_in_s

    def samples(self, audio_length_in_s: float) -> int:
        """Samples of a clip of this length, rounded down as diffusers does."""
        return int(audio_length_in_s * self.sampling_rate)

    def seconds_of(self, samples: int) -> float:
        """The length that `samples` makes as many samples of again, whatever the rounding of the quotient."""
        seconds = samples / self.sampling_rate
        return seconds if self.samples(seconds) == samples else math.nextafter(seconds, math.inf)

    def latent_frames(self, audio_length_in_s: float) -> int:
        """The fewest latent frames that cover the clip's samples.

        diffusers counts whole mel frames first, and returns less sound than was asked for where the clip ends between
        two of them.
        """
        return -(-self.samples(audio_length_in_s) // self.samples_per_latent_frame)


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What a request has to know of a model; known before its weights are read.

    Attributes:
        geometry: how seconds become latent frames.
        scheduler: the noise schedule.
        unet: shape of the denoiser.
        defaults: how it is sampled where a request does not say.
        vocabulary: what it knows by name, or None where it does not say.
        model_type: which of the family it is.
    """

    geometry: LatentGeometry
    scheduler: SchedulerConfig
    unet: UNetConfig
    defaults: GenerationDefaults = PUBLISHED
    vocabulary: Vocabulary | None = None
    model_type: ModelType = AUDIOLDM2
