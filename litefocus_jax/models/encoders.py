"""The networks that read prompts, in each of the ways that the family knows."""

from collections.abc import Mapping
from typing import Any

from litefocus_jax.models.class_conditioning import ClapEncoder, ClapTokens, ClassConditioning
from litefocus_jax.models.conditioning import TextConditioning, TextEncoders
from litefocus_jax.models.speech_conditioning import SpeechEncoders, SpeechTokens
from litefocus_jax.models.t5 import T5Encoder
from litefocus_jax.models.t5_conditioning import T5Conditioning, T5TextEncoder, T5Tokens
from litefocus_jax.models.tokenization import PromptTokens
from litefocus_jax.models.vits import VitsTextEncoder

Encoders = TextEncoders | SpeechEncoders | ClapEncoder | T5TextEncoder
"""The networks of any of the family that read prompts; each tokenizes them, and encodes the tokens."""

Tokens = PromptTokens | SpeechTokens | ClapTokens | T5Tokens
"""Prompts as they are read."""

Conditioning = TextConditioning | ClassConditioning | T5Conditioning
"""What the UNet of any of the family gets to know of prompts."""


def encoders_of(networks: Mapping[str, Any]) -> Encoders:
    """Those of some networks that read prompts.

    Args:
        networks: of a model of any type, by folder name.
    """
    if "text_encoder_2" in networks:
        kind = SpeechEncoders if isinstance(networks["text_encoder_2"], VitsTextEncoder) else TextEncoders
        return kind(*(networks[name] for name in kind._fields))
    text_encoder = networks["text_encoder"]
    return T5TextEncoder(text_encoder) if isinstance(text_encoder, T5Encoder) else ClapEncoder(text_encoder)
