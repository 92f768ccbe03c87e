"""The family: AudioLDM, MusicLDM and AudioLDM2 are the same networks, which get to know a prompt in different ways.

So does an AudioLDM2 for speech, which also gets to know what is said.
"""

import dataclasses
from collections.abc import Mapping

from litefocus_jax.models import gpt2, projection, t5, vae, vits, vocoder
from litefocus_jax.models.clap import text as clap_text
from litefocus_jax.models.generation_defaults import PUBLISHED, GenerationDefaults
from litefocus_jax.models.keys import Network
from litefocus_jax.models.unet import network as unet


@dataclasses.dataclass(frozen=True, eq=False)
class ModelType:
    """One of the family.

    Attributes:
        name: as its authors call it.
        pipeline_class: diffusers' pipeline, by which its folders are known; None where diffusers runs no such model.
        networks: every network that has weights, by its folder in a checkpoint.
        tokenizers: the tokenizers, by their folders, with the network that reads the tokens of each.
        has_feature_extractor: whether diffusers' pipeline listens to its sounds, and so has a feature extractor.
        defaults: how it is sampled where neither a request nor its checkpoint says; as in diffusers.
    """

    name: str
    pipeline_class: str | None
    networks: Mapping[str, Network]
    tokenizers: Mapping[str, str]
    has_feature_extractor: bool
    defaults: GenerationDefaults

    @property
    def described(self) -> str:
        """Its name with an article."""
        return f"{'an' if self.name.startswith('A') else 'a'} {self.name}"

    @property
    def takes_class_labels(self) -> bool:
        """Whether a prompt is CLAP's vector and nothing else."""
        return self.networks["unet"] is unet.CLASS_CONDITIONED

    @property
    def has_language_model(self) -> bool:
        """Whether GPT-2 makes vectors of a prompt, which the UNet reads."""
        return "language_model" in self.networks

    @property
    def speaks(self) -> bool:
        """Whether it is told what to say, beside a prompt."""
        return self.networks.get("text_encoder_2") is vits.NETWORK


AUDIOLDM2 = ModelType(
    "AudioLDM2",
    "AudioLDM2Pipeline",
    {
        "unet": unet.NETWORK,
        "vae": vae.NETWORK,
        "vocoder": vocoder.NETWORK,
        "text_encoder": clap_text.NETWORK,
        "text_encoder_2": t5.NETWORK,
        "language_model": gpt2.NETWORK,
        "projection_model": projection.NETWORK,
    },
    {"tokenizer": "text_encoder", "tokenizer_2": "text_encoder_2"},
    has_feature_extractor=True,
    defaults=PUBLISHED,
)
AUDIOLDM2_SPEECH = ModelType(
    "AudioLDM2-Speech",
    "AudioLDM2Pipeline",
    {**AUDIOLDM2.networks, "text_encoder_2": vits.NETWORK},
    AUDIOLDM2.tokenizers,
    has_feature_extractor=True,
    defaults=dataclasses.replace(PUBLISHED, prompt_padding="alone"),
)
AUDIOLDM = ModelType(
    "AudioLDM",
    "AudioLDMPipeline",
    {
        "unet": unet.CLASS_CONDITIONED,
        "vae": vae.NETWORK,
        "vocoder": vocoder.NETWORK,
        "text_encoder": clap_text.TEXT_ALONE,
    },
    {"tokenizer": "text_encoder"},
    has_feature_extractor=False,
    defaults=GenerationDefaults(num_inference_steps=10, guidance_scale=2.5, prompt_padding="alone"),
)
MUSICLDM = ModelType(
    "MusicLDM",
    "MusicLDMPipeline",
    {**AUDIOLDM.networks, "text_encoder": clap_text.EITHER},
    {"tokenizer": "text_encoder"},
    has_feature_extractor=True,
    defaults=GenerationDefaults(guidance_scale=2.0, prompt_padding="alone"),
)
AUDIOLDM_T5 = ModelType(
    "AudioLDM-T5",
    None,
    {**AUDIOLDM.networks, "unet": unet.NETWORK, "text_encoder": t5.NETWORK},
    {"tokenizer": "text_encoder"},
    has_feature_extractor=False,
    defaults=GenerationDefaults(prompt_padding="alone"),
)
"""``audioldm_16k_crossattn_t5`` of AudioLDM2's authors: T5 alone, which the UNet reads word by word."""

MODEL_TYPES: Mapping[str, ModelType] = {
    each.name: each for each in (AUDIOLDM2, AUDIOLDM2_SPEECH, AUDIOLDM, MUSICLDM, AUDIOLDM_T5)
}
"""Every one of the family, by name."""


def of_pipeline(class_name: object, second_encoder: object = None) -> ModelType | None:
    """The one that a pipeline of diffusers runs, or None where it is none of the family.

    Args:
        class_name: of the pipeline.
        second_encoder: name of the class of its ``text_encoder_2``, by which the one that speaks is told.
    """
    found = [each for each in MODEL_TYPES.values() if each.pipeline_class and each.pipeline_class == class_name]
    known = [
        each
        for each in found
        if "text_encoder_2" in each.networks and second_encoder in each.networks["text_encoder_2"].class_names
    ]
    return next(iter([*known, *found]), None)
