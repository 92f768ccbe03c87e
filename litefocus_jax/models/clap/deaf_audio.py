"""The smallest tower for sound that a ``ClapModel`` can have, for models of which only the text tower is available.

It gives every sound the same embedding, a unit vector along one axis. Scores against it are equal to the last bit, so
that diffusers' ranking leaves the waveforms of a prompt in the order they were made.
"""

import math
from typing import Any

import numpy as np

_MEL_BINS = 64  # bins of the feature extractor's spectrogram
_PATCH_SIZE = 4
_TEMPERATURE = 0.07  # the temperature that CLAP is initialised with

DEAF_AUDIO_CONFIG: tuple[tuple[str, Any], ...] = (
    # One feature, no layers, and otherwise transformers' defaults, which fit the feature extractor.
    (
        "audio_config",
        {
            "model_type": "clap_audio_model",
            "num_mel_bins": _MEL_BINS,
            "patch_size": _PATCH_SIZE,
            "patch_embeds_hidden_size": 1,
            "enable_patch_layer_norm": False,
            "depths": [0],
            "num_attention_heads": [1],
            "hidden_size": 1,
        },
    ),
    ("logit_scale_init_value", 1 / _TEMPERATURE),
)
"""What the tower adds to the JSON of a ``ClapModel``."""


def deaf_audio_tensors(projection_dim: int) -> dict[str, np.ndarray]:
    """The tower's tensors and the temperatures of the contrastive loss, under PyTorch's names.

    Args:
        projection_dim: width of the space that text and sound share.
    """
    encoder = "audio_model.audio_encoder"
    return {
        f"{encoder}.patch_embed.proj.weight": np.zeros((1, 1, _PATCH_SIZE, _PATCH_SIZE)),
        f"{encoder}.patch_embed.proj.bias": np.zeros(1),
        f"{encoder}.batch_norm.weight": np.ones(_MEL_BINS),
        f"{encoder}.batch_norm.bias": np.zeros(_MEL_BINS),
        f"{encoder}.batch_norm.running_mean": np.zeros(_MEL_BINS),
        f"{encoder}.batch_norm.running_var": np.ones(_MEL_BINS),
        f"{encoder}.batch_norm.num_batches_tracked": np.array(0),
        f"{encoder}.norm.weight": np.ones(1),
        f"{encoder}.norm.bias": np.zeros(1),
        "audio_projection.linear1.weight": np.zeros((projection_dim, 1)),
        "audio_projection.linear1.bias": np.zeros(projection_dim),
        "audio_projection.linear2.weight": np.zeros((projection_dim, projection_dim)),
        "audio_projection.linear2.bias": np.eye(1, projection_dim)[0],
        "logit_scale_a": np.array(-math.log(_TEMPERATURE)),
        "logit_scale_t": np.array(-math.log(_TEMPERATURE)),
    }
