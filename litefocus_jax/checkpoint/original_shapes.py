"""What an original checkpoint is: the configuration of each network, told from keys and shapes.

A file of the authors holds no configuration. What shapes do not say, such as the rates of the vocoder or the heads of
the text encoders, is what their code builds.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.tensors import Tensors
from litefocus_jax.models.clap.text import ClapTextConfig
from litefocus_jax.models.gpt2 import GPT2Config
from litefocus_jax.models.model_type import ModelType
from litefocus_jax.models.projection import ProjectionConfig
from litefocus_jax.models.speech_conditioning import SPOKEN_VECTORS
from litefocus_jax.models.t5 import T5Config
from litefocus_jax.models.unet.config import (
    ClassConditionedAudioLDM2UNetConfig,
    ClassConditionedUNetConfig,
    UNetConfig,
)
from litefocus_jax.models.unet.heads import trained_heads
from litefocus_jax.models.vae import VAEConfig
from litefocus_jax.models.vits import VitsConfig
from litefocus_jax.models.vocoder import VocoderConfig
from litefocus_jax.system.json_config import JsonConfig
from litefocus_jax.system.messages import shown

UNET = "model.diffusion_model."
VAE = "first_stage_model."
JOINT = "cond_stage_models.0."
CLAP = JOINT + "cond_stage_models.0.model."
T5 = "cond_stage_models.1.model."
PHONEMES = JOINT + "cond_stage_models.1."
EDGES = tuple(f"{JOINT}{name}_of_sequence_tokens.weight" for name in ("start", "end"))
"""Tables with a vector for each encoder, before and after what it says."""

_TRAINING_LENGTH_IN_S = 10.24
_GROUPS = 32  # of every GroupNorm of the authors' code
_CLAP_EPSILON = 1e-5  # of roberta-base; transformers' default for CLAP is 1e-12
_HEADS = 12  # of roberta-base and of gpt2
_HEAD_WIDTH = 64  # of both
_VOCODERS: dict[tuple[int, ...], dict[str, Any]] = {
    (16, 16, 8, 4, 4): {"upsample_rates": (5, 4, 2, 2, 2), "sampling_rate": 16000},
    (12, 10, 8, 4, 4): {
        "upsample_rates": (6, 5, 4, 2, 2),
        "sampling_rate": 48000,
        "n_fft": 2048,
        "fmin": 20.0,
        "fmax": 24000.0,
    },
}
"""Rates of the vocoder, and the spectrograms that it reads, by the widths of its transposed convolutions."""


@dataclasses.dataclass(frozen=True)
class Shapes:
    """The shapes below a prefix of a file's keys.

    Attributes:
        tensors: of the file.
        prefix: what the keys begin with.
        source: the file, for errors.
    """

    tensors: Tensors
    prefix: str
    source: str

    def of(self, key: str, ndim: int) -> tuple[int, ...]:
        """The shape of a tensor.

        Raises:
            CheckpointError: when it is missing, or has another number of axes.
        """
        name = self.prefix + key
        if name not in self.tensors:
            raise CheckpointError(f"{self.source} lacks {name}; expected all keys of a checkpoint of AudioLDM2")
        shape = self.tensors[name].shape
        if len(shape) != ndim:
            raise CheckpointError(f"{self.source}: {name} is {list(shape)}; expected {ndim} axes")
        return shape

    def has(self, key: str) -> bool:
        """Whether there is such a tensor."""
        return self.prefix + key in self.tensors

    def count(self, pattern: str, first: int = 0) -> int:
        """How many numbers from ``first`` on, one after the other, a pattern with ``{}`` finds a tensor for."""
        number = first
        while self.has(pattern.format(number)):
            number += 1
        return number - first


def configs_of(
    tensors: Tensors, source: str, model_type: ModelType, place: Callable[[str], str], head_channels: int
) -> dict[str, JsonConfig]:
    """The configuration of every network, by its name in its model's type.

    Args:
        tensors: of the file, by the authors' keys.
        source: the file, for errors.
        model_type: of the model.
        place: where a key of a file of AudioLDM2 lies in this one.
        head_channels: of each head of the UNet's attention.

    Raises:
        CheckpointError: when a tensor is missing or misshapen that says how large a network is.
        ConfigError: when the sizes are such that no network has.
    """
    networks = model_type.networks
    encoders: dict[str, JsonConfig] = {}
    widths: tuple[int, ...] = ()  # of what the transformers after the first one read
    if "projection_model" in networks:
        clap, gpt2 = _clap(tensors, source, place(CLAP)), _gpt2(tensors, source)
        if model_type.speaks:
            second, gpt2 = _vits(tensors, source), dataclasses.replace(gpt2, max_new_tokens=SPOKEN_VECTORS)
            positions = Shapes(tensors, PHONEMES, source).of("learnable_positional_embedding", 3)[2]
            joint = ProjectionConfig(clap.projection_dim, second.hidden_size, gpt2.n_embd, True, positions)
            widths = (gpt2.n_embd,)
        else:
            second = _t5(tensors, source, place(T5))
            joint = ProjectionConfig(clap.projection_dim, second.d_model, gpt2.n_embd)
            widths = (gpt2.n_embd, second.d_model)
        encoders = {
            "text_encoder": clap,
            "text_encoder_2": second,
            "language_model": gpt2,
            "projection_model": joint,
        }
    elif model_type.takes_class_labels:
        encoders["text_encoder"] = _clap(tensors, source, place(CLAP), networks["text_encoder"].config_class)
    else:
        encoders["text_encoder"] = t5 = _t5(tensors, source, place(T5))
        widths = (t5.d_model,)
    vae, vocoder = _vae(tensors, source), _vocoder(tensors, source)
    frames = round(_TRAINING_LENGTH_IN_S * vocoder.sampling_rate / (vocoder.hop_length * vae.scale_factor))
    unet = _unet(tensors, source, widths, head_channels, sample_size=frames)
    if model_type.takes_class_labels:
        unet = _with_class_labels(unet, Shapes(tensors, UNET, source))
    return {"unet": unet, "vae": vae, "vocoder": vocoder, **encoders}


def channels_of(shapes: Shapes) -> tuple[int, ...]:
    """Channels of each level of a UNet."""
    return tuple(shapes.of(f"{level[0]}.0.in_layers.2.weight", 4)[0] for level in _levels(shapes))


def _with_class_labels(unet: UNetConfig, shapes: Shapes) -> UNetConfig:
    """The same denoiser where a prompt is one vector, beside the time embedding in every resnet.

    Raises:
        CheckpointError: when the vector is added to the time embedding, or a transformer reads something else than the
            sound.
    """
    width, labels_dim = shapes.of("film_emb.weight", 2)
    found = shapes.of("input_blocks.1.0.emb_layers.1.weight", 2)[1]
    if found != unet.time_embed_dim + width:
        raise CheckpointError(
            f"{shapes.source}: {shapes.prefix}input_blocks.1.0.emb_layers.1.weight reads {found} numbers; expected "
            f"{unet.time_embed_dim} of the time and {width} of the prompt, side by side"
        )
    if read := {dim for dims in unet.cross_attention_dim_per_level for dim in dims if dim is not None}:
        raise CheckpointError(
            f"{shapes.source}: transformers of the UNet read vectors {', '.join(map(str, read))} wide; expected the "
            "sound alone, since the prompt is one vector"
        )
    fields = {field.name: getattr(unet, field.name) for field in dataclasses.fields(unet)}
    fields["projection_class_embeddings_input_dim"] = labels_dim
    if all(len(dims) == 1 for dims in unet.cross_attention_dim_per_level):
        return ClassConditionedUNetConfig(**{**fields, "cross_attention_dim": unet.block_out_channels})
    return ClassConditionedAudioLDM2UNetConfig(**fields)


def _unet(
    tensors: Tensors, source: str, widths: tuple[int, ...], head_channels: int, *, sample_size: int
) -> UNetConfig:
    """The denoiser.

    Args:
        tensors: of the file.
        source: the file, for errors.
        widths: of what the transformers after the first one read: GPT-2's vectors, and T5's.
        head_channels: of each head.
        sample_size: latent frames of the clips that it was trained on.
    """
    shapes = Shapes(tensors, UNET, source)
    levels = _levels(shapes)
    channels = channels_of(shapes)
    read = [_widths_read(shapes, level[0]) for level in levels]
    seeing = [place for place, found in enumerate(read) if found]
    if not seeing:
        raise CheckpointError(f"{source}: no level of the UNet has attention; expected the UNet of an AudioLDM2")
    dims = _entries([read[place] for place in seeing], [channels[place] for place in seeing], widths)
    first = levels[seeing[0]][0]
    down = tuple("CrossAttnDownBlock2D" if found else "DownBlock2D" for found in read)
    linear = len(tensors[f"{UNET}{first}.1.proj_in.weight"].shape) == 2
    return UNetConfig(
        sample_size=sample_size,
        in_channels=shapes.of("input_blocks.0.0.weight", 4)[1],
        out_channels=shapes.of("out.2.weight", 4)[0],
        down_block_types=down,
        up_block_types=tuple(block.replace("Down", "Up") for block in reversed(down)),
        block_out_channels=channels,
        layers_per_block=_same(tuple(map(len, levels))),
        norm_num_groups=_GROUPS,
        cross_attention_dim=(dims,) * len(levels),
        transformer_layers_per_block=shapes.count(f"{first}.1.transformer_blocks.{{}}.norm1.weight"),
        attention_head_dim=trained_heads(channels, head_channels),
        use_linear_projection=linear,
        time_embedding_dim=shapes.of("time_embed.0.weight", 2)[0],
    )


def _entries(read: list[tuple[int, ...]], channels: list[int], widths: tuple[int, ...]) -> tuple[int | None, ...]:
    """The entries of ``cross_attention_dim``: None for a transformer whose attentions both look at the sound itself.

    Such a one reads as much as its level is wide, at every level. In a network of one width throughout, the second and
    the third transformer are taken to read text, where there is some, if they are as wide as that.

    Args:
        read: how wide what each transformer reads is, for each level with attention.
        channels: of these levels.
        widths: of what the second, and the third, read.
    """
    entries: list[int | None] = []
    for place, found in enumerate(zip(*read, strict=True)):
        is_text = 1 <= place <= len(widths) and set(found) == {widths[place - 1]}
        entries.append(None if list(found) == channels and not is_text else found[0])
    return tuple(entries)


def _levels(shapes: Shapes) -> list[list[str]]:
    """The layers of each level on the way down."""
    levels, number = [[]], 1
    while True:
        layer = f"input_blocks.{number}"
        if shapes.has(f"{layer}.0.op.weight"):
            levels.append([])
        elif shapes.has(f"{layer}.0.in_layers.0.weight"):
            levels[-1].append(layer)
        else:
            break
        number += 1
    if not all(levels):
        raise CheckpointError(f"{shapes.source} lacks {shapes.prefix}input_blocks.{number}.0.in_layers.0.weight")
    return levels


def _widths_read(shapes: Shapes, layer: str) -> tuple[int, ...]:
    """How wide what each transformer of a layer attends to is."""
    places = range(1, 1 + shapes.count(layer + ".{}.norm.weight", first=1))
    return tuple(shapes.of(f"{layer}.{place}.transformer_blocks.0.attn2.to_k.weight", 2)[1] for place in places)


def _same(values: tuple[int, ...]) -> int | tuple[int, ...]:
    """One number for all levels where they agree."""
    return values[0] if len(set(values)) == 1 else values


def _vae(tensors: Tensors, source: str) -> VAEConfig:
    shapes = Shapes(tensors, VAE, source)
    levels = shapes.count("encoder.down.{}.block.0.conv1.weight")
    return VAEConfig(
        in_channels=shapes.of("encoder.conv_in.weight", 4)[1],
        out_channels=shapes.of("decoder.conv_out.weight", 4)[0],
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(
            shapes.of(f"encoder.down.{level}.block.0.conv1.weight", 4)[0] for level in range(levels)
        ),
        layers_per_block=shapes.count("encoder.down.0.block.{}.conv1.weight"),
        latent_channels=shapes.of("decoder.conv_in.weight", 4)[1],
        norm_num_groups=_GROUPS,
        scaling_factor=_scale_factor(tensors, source),
    )


def _scale_factor(tensors: Tensors, source: str) -> float:
    """What latents are multiplied by, so that they are as large as noise.

    Raises:
        CheckpointError: when it is missing, or no positive number.
    """
    if "scale_factor" not in tensors:
        raise CheckpointError(f"{source} lacks scale_factor; expected all keys of a checkpoint of AudioLDM2")
    found = np.asarray(tensors["scale_factor"]).astype(np.float64)
    if found.size != 1 or not 0 < found.item() < np.inf:
        raise CheckpointError(f"{source}: scale_factor is {shown(found.tolist())}; expected one positive number")
    return found.item()


def _vocoder(tensors: Tensors, source: str) -> VocoderConfig:
    shapes = Shapes(tensors, VAE + "vocoder.", source)
    # With weight normalisation the direction has the shape of the weight.
    name = "weight" if shapes.has("conv_pre.weight") else "weight_v"
    levels = shapes.count("ups.{}.bias")
    kernels = tuple(shapes.of(f"ups.{level}.{name}", 3)[2] for level in range(levels))
    if kernels not in _VOCODERS:
        known = " or ".join(map(str, _VOCODERS))
        raise CheckpointError(
            f"{source}: the vocoder's transposed convolutions are {kernels} wide; expected {known}, of known rates"
        )
    blocks = shapes.count("resblocks.{}.convs1.0.bias") // levels
    return VocoderConfig(
        model_in_dim=shapes.of(f"conv_pre.{name}", 3)[1],
        upsample_initial_channel=shapes.of(f"conv_pre.{name}", 3)[0],
        upsample_kernel_sizes=kernels,
        **_VOCODERS[kernels],
        resblock_kernel_sizes=tuple(shapes.of(f"resblocks.{block}.convs1.0.{name}", 3)[2] for block in range(blocks)),
        resblock_dilation_sizes=tuple(
            tuple(range(1, 2 * shapes.count(f"resblocks.{block}.convs1.{{}}.bias"), 2)) for block in range(blocks)
        ),
        normalize_before=False,
    )


def _clap(
    tensors: Tensors, source: str, prefix: str, config_class: type[ClapTextConfig] = ClapTextConfig
) -> ClapTextConfig:
    shapes = Shapes(tensors, prefix, source)
    vocabulary, width = shapes.of("text_branch.embeddings.word_embeddings.weight", 2)
    return config_class(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=shapes.count("text_branch.encoder.layer.{}.output.dense.weight"),
        num_attention_heads=_text_heads(width),
        intermediate_size=shapes.of("text_branch.encoder.layer.0.intermediate.dense.weight", 2)[0],
        max_position_embeddings=shapes.of("text_branch.embeddings.position_embeddings.weight", 2)[0],
        type_vocab_size=shapes.of("text_branch.embeddings.token_type_embeddings.weight", 2)[0],
        layer_norm_eps=_CLAP_EPSILON,
        projection_dim=shapes.of("text_projection.2.weight", 2)[0],
    )


def _t5(tensors: Tensors, source: str, prefix: str) -> T5Config:
    shapes = Shapes(tensors, prefix, source)
    embedding = "shared.weight" if shapes.has("shared.weight") else "encoder.embed_tokens.weight"
    vocabulary, width = shapes.of(embedding, 2)
    block = "encoder.block.0.layer."
    buckets, heads = shapes.of(block + "0.SelfAttention.relative_attention_bias.weight", 2)
    return T5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_kv=shapes.of(block + "0.SelfAttention.q.weight", 2)[0] // heads,
        d_ff=shapes.of(block + "1.DenseReluDense.wo.weight", 2)[1],
        num_layers=shapes.count("encoder.block.{}.layer.0.layer_norm.weight"),
        num_heads=heads,
        relative_attention_num_buckets=buckets,
        feed_forward_proj="gated-gelu" if shapes.has(block + "1.DenseReluDense.wi_0.weight") else "relu",
    )


def _vits(tensors: Tensors, source: str) -> VitsConfig:
    shapes = Shapes(tensors, PHONEMES + "text_encoder.", source)
    vocabulary, width = shapes.of("emb.weight", 2)
    attention, feed_forward = "encoder.attn_layers.0.emb_rel_k", shapes.of("encoder.ffn_layers.0.conv_1.weight", 3)
    _, places, head_width = shapes.of(attention, 3)
    return VitsConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=shapes.count("encoder.attn_layers.{}.emb_rel_k"),
        num_attention_heads=max(1, width // max(1, head_width)),
        window_size=places // 2,
        ffn_dim=feed_forward[0],
        ffn_kernel_size=feed_forward[2],
        flow_size=shapes.of("proj.weight", 3)[0] // 2,
    )


def _gpt2(tensors: Tensors, source: str) -> GPT2Config:
    shapes = Shapes(tensors, JOINT + "model.", source)
    vocabulary, width = shapes.of("wte.weight", 2)
    inner = shapes.of("h.0.mlp.c_fc.weight", 2)[1]
    return GPT2Config(
        vocab_size=vocabulary,
        n_positions=shapes.of("wpe.weight", 2)[0],
        n_embd=width,
        n_layer=shapes.count("h.{}.ln_1.weight"),
        n_head=_text_heads(width),
        n_inner=None if inner == 4 * width else inner,
    )


def _text_heads(width: int) -> int:
    """Heads of an encoder of text: 12, as published; where these do not divide it, as wide as the published ones."""
    return _HEADS if width % _HEADS == 0 else max(1, width // _HEAD_WIDTH)
