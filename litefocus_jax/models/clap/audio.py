"""The tower of CLAP for sound: HTS-AT, a Swin transformer over a folded spectrogram (arXiv 2202.00874, 2211.06687).

The numbers are those of transformers' ``ClapModel.get_audio_features``. Letters in shape comments: B batch, P pieces of
a sound, T frames, F mel bins, H height, W width, C channels.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from litefocus_jax.models import parameters
from litefocus_jax.models.batch_norm import BatchNorm
from litefocus_jax.models.clap.projection import ClapProjection, unit_vectors
from litefocus_jax.models.clap.swin import SwinStage
from litefocus_jax.models.keys import KeyTable, Network, Rule
from litefocus_jax.models.layers import LayerNorm
from litefocus_jax.models.text_layers import activation_named
from litefocus_jax.system.json_config import ConfigError, JsonConfig

_EPSILON = 1e-5  # PyTorch's default
_PIECES = 3  # of a long sound, side by side
_CUBIC = -0.75  # PyTorch's coefficient of cubic convolution


@dataclasses.dataclass(frozen=True)
class ClapAudioConfig(JsonConfig):
    """The tower for sound of transformers' ``ClapModel``, under its names."""

    STRICT = False
    REQUIRED: ClassVar = {
        "flatten_patch_embeds": (True,),
        "patch_embed_input_channels": (1,),
        "fusion_type": (None, "aff_2d"),
    }

    window_size: int = 8
    num_mel_bins: int = 64
    spec_size: int = 256
    hidden_act: str = "gelu"
    patch_size: int | tuple[int, int] = 4
    patch_stride: int | tuple[int, int] = (4, 4)
    hidden_size: int = 768
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_attention_heads: tuple[int, ...] = (4, 8, 16, 32)
    enable_fusion: bool = False
    patch_embeds_hidden_size: int = 96
    enable_patch_layer_norm: bool = True
    qkv_bias: bool = True
    mlp_ratio: float = 4.0
    aff_block_r: int = 4
    layer_norm_eps: float = 1e-5
    projection_dim: int = 512
    projection_hidden_act: str = "relu"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "configuration") -> Self:
        """Read a ``ClapModel``'s JSON (the tower's fields under ``audio_config``) or the tower's own.

        Raises:
            ConfigError: when the JSON belongs to another model, or a field is not supported.
        """
        if values.get("model_type") not in ("clap", "clap_audio_model", None):
            raise ConfigError(f"{source}: model_type = {values['model_type']!r}; expected 'clap'")
        if "audio_config" in values:
            shared = {key: values[key] for key in ("projection_dim", "projection_hidden_act") if key in values}
            defaults = {"projection_dim": 512, "projection_hidden_act": "relu"}
            values = {**values["audio_config"], **defaults, **shared}
        return super().from_dict(values, source)

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.num_attention_heads):
            raise ConfigError(
                f"depths = {self.depths} and num_attention_heads = {self.num_attention_heads}; expected "
                "one number of heads for each stage"
            )
        if self.spec_size % self.num_mel_bins or self.spec_size % self.freq_ratio:
            raise ConfigError(
                f"spec_size = {self.spec_size}; expected a multiple of num_mel_bins = {self.num_mel_bins}"
            )
        smallest = min(self.grid) // 2 ** (len(self.depths) - 1)
        if smallest < self.window_size or any(side % 2 ** (len(self.depths) - 1) for side in self.grid):
            raise ConfigError(
                f"a grid of {self.grid} patches, halved {len(self.depths) - 1} times, has {smallest} on a side; "
                f"expected whole numbers, and at least window_size = {self.window_size}"
            )
        widest = self.patch_embeds_hidden_size * 2 ** (len(self.depths) - 1)
        if self.hidden_size != widest:
            raise ConfigError(
                f"hidden_size = {self.hidden_size}; expected {widest}, which {len(self.depths)} stages make of "
                f"patch_embeds_hidden_size = {self.patch_embeds_hidden_size}"
            )

    @property
    def freq_ratio(self) -> int:
        """Into how many strips the spectrogram is cut, to be laid one above the other."""
        return max(1, self.spec_size // self.num_mel_bins)

    @property
    def patch(self) -> tuple[int, int]:
        """Height and width of a patch."""
        return _pair(self.patch_size)

    @property
    def stride(self) -> tuple[int, int]:
        """From one patch to the next."""
        return _pair(self.patch_stride)

    @property
    def grid(self) -> tuple[int, int]:
        """Patches of the image."""
        return self.spec_size // self.stride[0], self.spec_size // self.stride[1]

    @property
    def is_deaf(self) -> bool:
        """Whether it is `litefocus_jax.models.clap.deaf_audio`, which hears nothing."""
        return not any(self.depths)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of a ``ClapModel`` that has only its tower for sound."""
        projection = {key: getattr(self, key) for key in ("projection_dim", "projection_hidden_act")}
        return {"model_type": "clap", **projection, "audio_config": dataclasses.asdict(self)}

    @classmethod
    def tiny(cls) -> Self:
        """Two stages over an image of 64 by 64, a few channels wide."""
        return cls(
            window_size=4,
            num_mel_bins=16,
            spec_size=64,
            hidden_size=16,
            depths=(2, 1),
            num_attention_heads=(2, 4),
            patch_embeds_hidden_size=8,
            projection_dim=8,
        )


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)


class AttentionalFusion(nnx.Module):
    """Mix two images by weights that are learnt for each place and for the whole (Dai et al., arXiv 2009.14082).

    Layers are named by their places in PyTorch's ``Sequential``, which counts poolings and activations too.
    """

    def __init__(self, channels: int, reduction: int, *, rngs: nnx.Rngs) -> None:
        inner = channels // reduction

        def branch(first: int) -> nnx.Dict:
            return nnx.Dict(
                {
                    str(first): parameters.conv(channels, inner, (1, 1), rngs=rngs),
                    str(first + 1): BatchNorm(inner, rngs=rngs),
                    str(first + 3): parameters.conv(inner, channels, (1, 1), rngs=rngs),
                    str(first + 4): BatchNorm(channels, rngs=rngs),
                }
            )

        self.local_att, self.global_att = branch(0), branch(1)

    def __call__(
        self, whole: Float[Array, "batch height width channels"], pieces: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch height width channels"]:
        """Mix the image of a whole sound with that of its pieces."""
        both = whole + pieces
        share = jax.nn.sigmoid(
            self._branch(self.local_att, 0, both)
            + self._branch(self.global_att, 1, both.mean(axis=(1, 2), keepdims=True))
        )
        return 2.0 * whole * share + 2.0 * pieces * (1.0 - share)

    @staticmethod
    def _branch(layers: nnx.Dict, first: int, x: Array) -> Array:
        hidden = jax.nn.relu(layers[str(first + 1)](layers[str(first)](x)))
        return layers[str(first + 4)](layers[str(first + 3)](hidden))


class PatchEmbedding(nnx.Module):
    """Patches of the image to tokens; with fusion, the pieces of longer sounds are seen too."""

    def __init__(self, config: ClapAudioConfig, *, rngs: nnx.Rngs) -> None:
        channels = config.patch_embeds_hidden_size
        patch, stride = config.patch, config.stride
        margins = [(size - step) // 2 for size, step in zip(patch, stride, strict=True)]
        padding = [(margin, margin) for margin in margins]
        self.proj = parameters.conv(1, channels, patch, strides=stride, padding=padding, rngs=rngs)
        self.norm = LayerNorm(channels, epsilon=_EPSILON, rngs=rngs) if config.enable_patch_layer_norm else None
        wide = (patch[0], _PIECES * patch[1]), (stride[0], _PIECES * stride[1])
        self.fusion_model, self.mel_conv2d = (
            (
                AttentionalFusion(channels, config.aff_block_r, rngs=rngs),
                parameters.conv(1, channels, wide[0], strides=wide[1], padding=padding, rngs=rngs),
            )
            if config.enable_fusion
            else (None, None)
        )

    def __call__(
        self, images: Float[Array, "batch pieces height width"], is_longer: Bool[Array, " batch"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Embed images, the first of which shows the whole of a sound."""
        tokens = self.proj(images[:, 0, ..., None])  # [B, H, W, C]
        if self.fusion_model is not None and self.mel_conv2d is not None:
            batch, pieces = images[:, 1:].shape[:2]
            local = self.mel_conv2d(images[:, 1:].reshape(batch * pieces, *images.shape[2:])[..., None])
            local = local.reshape(batch, pieces, *local.shape[1:]).swapaxes(1, 2)  # [B, H, P, W / 3, C]
            local = local.reshape(batch, local.shape[1], -1, local.shape[-1])
            local = jnp.pad(local, ((0, 0), (0, 0), (0, tokens.shape[2] - local.shape[2]), (0, 0)))
            tokens = jnp.where(is_longer[:, None, None, None], self.fusion_model(tokens, local), tokens)
        return tokens if self.norm is None else self.norm(tokens)


class ClapAudioModel(nnx.Module):
    """Log-mel spectrograms to one unit vector per sound.

    Raises:
        ConfigError: when the configuration names an unknown activation.
    """

    def __init__(self, config: ClapAudioConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.batch_norm = BatchNorm(config.num_mel_bins, rngs=rngs)
        self.patch_embed = PatchEmbedding(config, rngs=rngs)
        last = len(config.depths) - 1
        self.layers = nnx.List(
            SwinStage(
                config.patch_embeds_hidden_size * 2**number,
                depth=depth,
                num_heads=heads,
                window=config.window_size,
                fills_image=min(config.grid) // 2**number <= config.window_size,
                expansion=config.mlp_ratio,
                activation=activation_named(config.hidden_act, "hidden_act"),
                qkv_bias=config.qkv_bias,
                epsilon=config.layer_norm_eps,
                merges=number < last,
                rngs=rngs,
            )
            for number, (depth, heads) in enumerate(zip(config.depths, config.num_attention_heads, strict=True))
        )
        self.norm = LayerNorm(config.hidden_size, epsilon=_EPSILON, rngs=rngs)
        self.projection = ClapProjection(
            config.hidden_size, config.projection_dim, activation=config.projection_hidden_act, rngs=rngs
        )

    def __call__(
        self, mel: Float[Array, "batch pieces frames mels"], is_longer: Bool[Array, " batch"]
    ) -> Float[Array, "batch projection_dim"]:
        """Features of length one.

        Args:
            mel: of `litefocus_jax.models.clap.features.clap_features`; one piece for each sound, or four for a network
                with fusion.
            is_longer: where the pieces of a sound are to be looked at; without fusion it says nothing.

        Raises:
            ValueError: when there are other pieces or bins, or more frames, than the network takes.
        """
        config = self.config
        pieces = 1 + _PIECES if config.enable_fusion else 1
        longest = config.spec_size * config.freq_ratio
        if mel.ndim != 4 or mel.shape[1] != pieces or mel.shape[2] > longest or mel.shape[3] != config.num_mel_bins:
            raise ValueError(
                f"mel has shape {mel.shape}; expected [batch, {pieces}, at most {longest}, {config.num_mel_bins}]"
            )
        image = self.patch_embed(self._folded(self.batch_norm(mel)), is_longer)
        for stage in self.layers:
            image = stage(image)
        return unit_vectors(self.projection(self.norm(image).mean(axis=(1, 2))))

    def _folded(self, mel: Float[Array, "batch pieces frames mels"]) -> Float[Array, "batch pieces height width"]:
        """Spectrograms stretched to the image's size, and cut into strips that lie one above the other."""
        config = self.config
        strips = config.freq_ratio
        stretch = jnp.asarray(_cubic_stretch(mel.shape[2], config.spec_size * strips), mel.dtype)
        stretched = jnp.einsum("nt,bptf->bpnf", stretch, mel, precision=jax.lax.Precision.HIGHEST)
        batch, pieces, frames, mels = stretched.shape
        strips_of_time = stretched.reshape(batch, pieces, strips, frames // strips, mels)
        return strips_of_time.swapaxes(3, 4).reshape(batch, pieces, strips * mels, frames // strips)


def _cubic_stretch(size: int, new_size: int) -> Float[np.ndarray, "new_size size"]:
    """Weights of cubic convolution (Keys 1981) from one length to another, whose ends meet.

    PyTorch's ``interpolate(mode="bicubic", align_corners=True)`` along one axis; places beyond the ends are the ends.
    """
    places = np.arange(new_size) * ((size - 1) / max(1, new_size - 1))
    nearest = np.floor(places).astype(int)
    weights = np.zeros((new_size, size))
    for offset in (-1, 0, 1, 2):
        distance = np.abs(places - nearest - offset)
        near = (_CUBIC + 2.0) * distance**3 - (_CUBIC + 3.0) * distance**2 + 1.0
        far = _CUBIC * (distance**3 - 5.0 * distance**2 + 8.0 * distance - 4.0)
        weight = np.where(distance <= 1.0, near, far)
        np.add.at(weights, (np.arange(new_size), np.clip(nearest + offset, 0, size - 1)), weight)
    return weights


_ENCODER = "audio_model.audio_encoder."
_PATCHES = _ENCODER + "patch_embed."
_CONVOLUTIONS = r"{place:local_att\.[03]|global_att\.[14]}"
_NORMS = r"{place:local_att\.[14]|global_att\.[25]}"
_BLOCK, _OUR_BLOCK = _ENCODER + r"layers.{stage:\d+}.blocks.{block:\d+}.", "layers.{stage}.blocks.{block}."

_RULES = (
    Rule(_ENCODER + "batch_norm.weight", "batch_norm.scale"),
    Rule(_ENCODER + "batch_norm.bias", "batch_norm.bias"),
    Rule(_ENCODER + "batch_norm.running_{statistic:mean|var}", "batch_norm.{statistic}"),
    Rule(_PATCHES + "{layer:proj|mel_conv2d}.weight", "patch_embed.{layer}.kernel", "conv2d"),
    Rule(_PATCHES + "{layer:proj|mel_conv2d}.bias", "patch_embed.{layer}.bias"),
    Rule(_PATCHES + "norm.weight", "patch_embed.norm.scale", optional=True),
    Rule(_PATCHES + "norm.bias", "patch_embed.norm.bias", optional=True),
    Rule(
        _PATCHES + f"fusion_model.{_CONVOLUTIONS}.weight",
        "patch_embed.fusion_model.{place}.kernel",
        "conv2d",
        optional=True,
    ),
    Rule(_PATCHES + f"fusion_model.{_NORMS}.weight", "patch_embed.fusion_model.{place}.scale", optional=True),
    Rule(_PATCHES + "fusion_model.{place}.bias", "patch_embed.fusion_model.{place}.bias", optional=True),
    Rule(
        _PATCHES + "fusion_model.{place}.running_{statistic:mean|var}",
        "patch_embed.fusion_model.{place}.{statistic}",
        optional=True,
    ),
    Rule(_BLOCK + "layernorm_before.weight", _OUR_BLOCK + "attention_norm.scale"),
    Rule(_BLOCK + "layernorm_before.bias", _OUR_BLOCK + "attention_norm.bias"),
    Rule(_BLOCK + "layernorm_after.weight", _OUR_BLOCK + "output_norm.scale"),
    Rule(_BLOCK + "layernorm_after.bias", _OUR_BLOCK + "output_norm.bias"),
    Rule(_BLOCK + "attention.self.relative_position_bias_table", _OUR_BLOCK + "attention.distance_bias"),
    Rule(_BLOCK + "attention.self.{role:query|key|value}.weight", _OUR_BLOCK + "attention.{role}.kernel", "linear"),
    Rule(_BLOCK + "attention.self.{role:query|key|value}.bias", _OUR_BLOCK + "attention.{role}.bias", optional=True),
    Rule(_BLOCK + "attention.output.dense.weight", _OUR_BLOCK + "attention.output.kernel", "linear"),
    Rule(_BLOCK + "attention.output.dense.bias", _OUR_BLOCK + "attention.output.bias"),
    Rule(_BLOCK + "{layer:intermediate|output}.dense.weight", _OUR_BLOCK + "{layer}.kernel", "linear"),
    Rule(_BLOCK + "{layer:intermediate|output}.dense.bias", _OUR_BLOCK + "{layer}.bias"),
    Rule(_ENCODER + r"layers.{stage:\d+}.downsample.norm.weight", "layers.{stage}.downsample.norm.scale"),
    Rule(_ENCODER + r"layers.{stage:\d+}.downsample.norm.bias", "layers.{stage}.downsample.norm.bias"),
    Rule(
        _ENCODER + r"layers.{stage:\d+}.downsample.reduction.weight",
        "layers.{stage}.downsample.reduction.kernel",
        "linear",
    ),
    Rule(_ENCODER + "norm.weight", "norm.scale"),
    Rule(_ENCODER + "norm.bias", "norm.bias"),
    Rule("audio_projection.{layer:linear[12]}.weight", "projection.{layer}.kernel", "linear"),
    Rule("audio_projection.{layer:linear[12]}.bias", "projection.{layer}.bias"),
)
_IGNORED = (
    # The other tower, and temperatures of the contrastive loss.
    "text_model.{rest}",
    "text_projection.{rest}",
    "logit_scale_{tower:[at]}",
    # Buffers: how many batches the statistics were taken over, and the numbers of distances.
    "{layer}.num_batches_tracked",
    _BLOCK + "attention.self.relative_position_index",
)

NETWORK = Network(
    config_class=ClapAudioConfig,
    model_class=ClapAudioModel,
    keys=KeyTable(_RULES, _IGNORED),
    library="transformers",
    class_names=("ClapModel",),
    model_type="clap",
)
