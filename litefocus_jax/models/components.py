"""What "a model" is: its networks, by their folders' names, and how their sizes fit together."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models import gpt2, projection, t5, vae, vocoder
from litefocus_jax.models.clap import text as clap_text
from litefocus_jax.models.clap.text import ClapTextModel
from litefocus_jax.models.generation_defaults import PUBLISHED, GenerationDefaults
from litefocus_jax.models.gpt2 import GPT2
from litefocus_jax.models.keys import Network
from litefocus_jax.models.projection import ProjectionModel
from litefocus_jax.models.t5 import T5Encoder
from litefocus_jax.models.unet import network as unet
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.models.vae import VAE, VAEConfig
from litefocus_jax.models.vocabulary import Vocabulary
from litefocus_jax.models.vocoder import Vocoder, VocoderConfig
from litefocus_jax.system.json_config import JsonConfig

NETWORKS: Mapping[str, Network] = {
    "unet": unet.NETWORK,
    "vae": vae.NETWORK,
    "vocoder": vocoder.NETWORK,
    "text_encoder": clap_text.NETWORK,
    "text_encoder_2": t5.NETWORK,
    "language_model": gpt2.NETWORK,
    "projection_model": projection.NETWORK,
}
"""Every network that has weights, by its folder in a checkpoint, which is also its name in `Components`."""


@dataclasses.dataclass(frozen=True)
class Components:
    """The parts of an AudioLDM2, under diffusers' names. Each module holds its configuration as ``.config``.

    Attributes:
        unet: the denoiser.
        vae: mel spectrogram to latent and back.
        vocoder: mel spectrogram to sound.
        text_encoder: CLAP's text tower.
        text_encoder_2: Flan-T5's encoder.
        language_model: GPT-2.
        projection_model: joins the text encoders' outputs for GPT-2.
        scheduler: the noise schedule.
        tokenizer: folder of CLAP's tokenizer.
        tokenizer_2: folder of T5's tokenizer.
        dtype: floating-point type of the weights, such as ``"bfloat16"``; VAE and vocoder are float32 in any case.
        defaults: how it is sampled where a request does not say.
        vocabulary: what it knows by name, or None where it does not say.
    """

    unet: UNet
    vae: VAE
    vocoder: Vocoder
    text_encoder: ClapTextModel
    text_encoder_2: T5Encoder
    language_model: GPT2
    projection_model: ProjectionModel
    scheduler: SchedulerConfig
    tokenizer: Path
    tokenizer_2: Path
    dtype: str
    defaults: GenerationDefaults = PUBLISHED
    vocabulary: Vocabulary | None = None

    @property
    def modules(self) -> dict[str, Any]:
        """The networks, by folder name."""
        return {name: getattr(self, name) for name in NETWORKS}

    @property
    def facts(self) -> "ModelFacts":
        """What is known of the model without its weights.

        Raises:
            ValueError: when the networks do not fit together.
        """
        configs = {name: module.config for name, module in self.modules.items()}
        geometry = LatentGeometry.from_configs(**configs)
        return ModelFacts(geometry, self.scheduler, self.unet.config, self.defaults, self.vocabulary)


def differences_in_width(configs: Mapping[str, Any]) -> list[str]:
    """Where one network's output is not as wide as the next one's input, in words; empty where all fit together.

    Args:
        configs: the configuration of every network, by folder name.
    """
    joint, vae_config = configs["projection_model"], configs["vae"]
    clap_width, t5_width = configs["text_encoder"].projection_dim, configs["text_encoder_2"].d_model
    gpt2_width = configs["language_model"].n_embd
    clap, t5 = ("text_encoder: projection_dim", clap_width), ("text_encoder_2: d_model", t5_width)
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
    problems = [
        f"{first} = {width}, but {second} = {other}; these sub-models do not belong together"
        for (first, width), (second, other) in pairs
        if width != other
    ]
    if vae_config.in_channels != 1 or vae_config.out_channels != 1:
        problems.append(
            f"vae: in_channels = {vae_config.in_channels} and out_channels = {vae_config.out_channels}; expected 1, "
            "since a mel spectrogram has one"
        )
    return list(dict.fromkeys(problems))


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
    """

    geometry: LatentGeometry
    scheduler: SchedulerConfig
    unet: UNetConfig
    defaults: GenerationDefaults = PUBLISHED
    vocabulary: Vocabulary | None = None
