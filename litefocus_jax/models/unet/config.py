"""Configurations of the UNets: AudioLDM2's, and that of AudioLDM and MusicLDM."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, ClassVar, Self

from litefocus_jax.system.json_config import ConfigError, Count, Epsilon, JsonConfig, Layers, per_level, read_json
from litefocus_jax.system.typed_json import Range

DOWN_BLOCKS = ("DownBlock2D", "CrossAttnDownBlock2D")
UP_BLOCKS = ("UpBlock2D", "CrossAttnUpBlock2D")
LEVELS = Range(1, 12)
"""Each halves time and frequency."""

Frames = Annotated[int, Range(1, 2**24)]
"""Latent frames: a week of sound, at most."""


@dataclasses.dataclass(frozen=True)
class UNetConfig(JsonConfig):
    """Fields of ``AudioLDM2UNet2DConditionModel``'s JSON, under diffusers' names.

    ``attention_head_dim`` is the number of heads, as diffusers uses it, not their width. Fields that diffusers lets
    be given once or per level are kept as given; the ``*_per_level`` properties expand them.
    ``cross_attention_dim`` gives, per level, one entry per transformer after each resnet: ``None`` makes both of its
    attentions self-attention.
    """

    CLASS_NAME = "AudioLDM2UNet2DConditionModel"
    REQUIRED: ClassVar = {
        "mid_block_type": ("UNetMidBlock2DCrossAttn",),
        "only_cross_attention": (False,),
        "class_embed_type": (None,),
        "num_class_embeds": (None,),
        "class_embeddings_concat": (False,),
        "projection_class_embeddings_input_dim": (None,),
        "num_attention_heads": (None,),
        "resnet_time_scale_shift": ("default",),
        "time_embedding_type": ("positional",),
        "time_embedding_act_fn": (None,),
        "timestep_post_act": (None,),
        "time_cond_proj_dim": (None,),
        "act_fn": ("silu", "swish"),
    }
    # Scores and softmax are always computed in float32, which is what this flag asks for.
    IGNORED = frozenset({"upcast_attention"})

    sample_size: Frames | None = None
    in_channels: Count = 4
    out_channels: Count = 4
    flip_sin_to_cos: bool = True
    freq_shift: Annotated[int, Range(0, 1)] = 0
    down_block_types: Annotated[tuple[str, ...], LEVELS] = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    up_block_types: Annotated[tuple[str, ...], LEVELS] = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
    block_out_channels: Annotated[tuple[Count, ...], LEVELS] = (320, 640, 1280, 1280)
    layers_per_block: Layers | tuple[Layers, ...] = 2
    downsample_padding: Annotated[int, Range(0, 1)] = 1
    mid_block_scale_factor: Annotated[float, Range(1e-3, 1e3)] = 1.0
    norm_num_groups: Count = 32
    norm_eps: Epsilon = 1e-5
    cross_attention_dim: Count | tuple[Count | tuple[Count | None, ...], ...] = 1280
    transformer_layers_per_block: Layers | tuple[Layers, ...] = 1
    attention_head_dim: Count | tuple[Count, ...] = 8
    use_linear_projection: bool = False
    time_embedding_dim: Count | None = None
    conv_in_kernel: Count = 3
    conv_out_kernel: Count = 3

    def __post_init__(self) -> None:
        levels = len(self.block_out_channels)
        for name, types, known in (
            ("down_block_types", self.down_block_types, DOWN_BLOCKS),
            ("up_block_types", self.up_block_types, UP_BLOCKS),
        ):
            per_level(types, levels, name)
            for block in types:
                if block not in known:
                    raise ConfigError(f"{name} names {block!r}, which is not supported; expected one of {known}")
        for name, layers in (
            ("layers_per_block", self.layers_per_level),
            ("transformer_layers_per_block", self.transformer_layers_per_level),
        ):
            if min(layers) < 1:
                raise ConfigError(f"{name} = {layers}; expected at least 1 at every level")
        for channels, heads in zip(self.block_out_channels, self.num_heads_per_level, strict=True):
            if channels % heads:
                raise ConfigError(f"block_out_channels has {channels}, which {heads} attention heads do not divide")
            if channels % self.norm_num_groups:
                raise ConfigError(f"block_out_channels has {channels}, not a multiple of {self.norm_num_groups} groups")
        for dims in self.cross_attention_dim_per_level:
            if not 1 <= len(dims) <= 4:
                raise ConfigError(f"cross_attention_dim has {len(dims)} transformers in a level; expected 1 to 4")
        for name, kernel in (("conv_in_kernel", self.conv_in_kernel), ("conv_out_kernel", self.conv_out_kernel)):
            if kernel % 2 == 0:
                raise ConfigError(f"{name} = {kernel} is even; expected an odd size, which keeps the length")

    @property
    def num_heads_per_level(self) -> tuple[int, ...]:
        """Attention heads at each level."""
        return per_level(self.attention_head_dim, len(self.block_out_channels), "attention_head_dim")

    @property
    def layers_per_level(self) -> tuple[int, ...]:
        """Resnets at each level on the way down; there is one more on the way up."""
        return per_level(self.layers_per_block, len(self.block_out_channels), "layers_per_block")

    @property
    def transformer_layers_per_level(self) -> tuple[int, ...]:
        """Transformer blocks in each transformer, by level."""
        return per_level(
            self.transformer_layers_per_block, len(self.block_out_channels), "transformer_layers_per_block"
        )

    @property
    def cross_attention_dim_per_level(self) -> tuple[tuple[int | None, ...], ...]:
        """For each level the transformers after each resnet, by the width of what they attend to."""
        dims = per_level(self.cross_attention_dim, len(self.block_out_channels), "cross_attention_dim")
        return tuple(dim if isinstance(dim, tuple) else (dim,) for dim in dims)

    @property
    def class_labels_dim(self) -> int | None:
        """Width of the vector that says what the whole sound is to be, or None where there is none."""
        return None

    @property
    def self_attentions_per_level(self) -> tuple[int, ...]:
        """Self-attentions at each resolution level, on the way down and up; the middle block's count at the last.

        Every transformer block has two attentions: where its entry of ``cross_attention_dim`` is None both are
        self-attention, otherwise the first is.
        """
        last = len(self.block_out_channels) - 1
        counts = []
        for level, (down, up) in enumerate(zip(self.down_block_types, reversed(self.up_block_types), strict=True)):
            per_layer = sum(2 if dim is None else 1 for dim in self.cross_attention_dim_per_level[level])
            layers = self.layers_per_level[level]
            # A level has one more layer on the way up.
            with_attention = layers * down.startswith("CrossAttn") + (layers + 1) * up.startswith("CrossAttn")
            with_attention += level == last
            counts.append(per_layer * self.transformer_layers_per_level[level] * with_attention)
        return tuple(counts)

    @property
    def time_embed_dim(self) -> int:
        """Width of the time embedding."""
        return self.time_embedding_dim or 4 * self.block_out_channels[0]

    @classmethod
    def tiny(cls) -> Self:
        """Four levels with attention at levels 1 to 3, as published, a hundredth of the width."""
        return cls(
            sample_size=16,
            in_channels=4,
            out_channels=4,
            down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
            up_block_types=("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
            block_out_channels=(8, 8, 16, 16),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=((None, 16, 24),) * 4,
            attention_head_dim=2,
        )


@dataclasses.dataclass(frozen=True)
class ClassConditionedUNetConfig(UNetConfig):
    """Fields of ``UNet2DConditionModel``'s JSON, as AudioLDM and MusicLDM have it.

    The prompt is one vector (FiLM, as its authors call it): it is projected, and stands beside the time embedding in
    every resnet block. No transformer reads it: ``cross_attention_dim`` is how wide each level is itself, since the
    second attention reads the sound as well.
    """

    CLASS_NAME = "UNet2DConditionModel"
    REQUIRED: ClassVar = {
        **{name: known for name, known in UNetConfig.REQUIRED.items() if not name.startswith("projection_")},
        "class_embed_type": ("simple_projection",),
        "class_embeddings_concat": (True,),
        "attention_type": ("default",),
        "dropout": (0.0, 0),
        "resnet_out_scale_factor": (1.0, 1),
    }
    # It serves only embeddings of a kind that must not be there.
    IGNORED = UNetConfig.IGNORED | {"addition_embed_type_num_heads"}

    cross_attention_dim: Count | tuple[Count | None, ...] = 1280  # pyright: ignore[reportIncompatibleVariableOverride]
    projection_class_embeddings_input_dim: Count = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = per_level(self.cross_attention_dim, len(self.block_out_channels), "cross_attention_dim")
        last = len(widths) - 1
        for level, (width, channels) in enumerate(zip(widths, self.block_out_channels, strict=True)):
            blocks = self.down_block_types[level], self.up_block_types[last - level]
            has_attention = level == last or any(block.startswith("CrossAttn") for block in blocks)
            if has_attention and width != channels:
                raise ConfigError(
                    f"cross_attention_dim has {width} at level {level}, which is {channels} channels wide; expected "
                    f"{channels}, since with a vector for a prompt the second attention reads the sound itself"
                )

    @property
    def cross_attention_dim_per_level(self) -> tuple[tuple[int | None, ...], ...]:
        """At each level one transformer after each resnet, which reads no prompt."""
        return ((None,),) * len(self.block_out_channels)

    @property
    def class_labels_dim(self) -> int:
        """Width of the vector that says what the whole sound is to be."""
        return self.projection_class_embeddings_input_dim

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that diffusers and `from_dict` read."""
        return {**super().to_dict(), "class_embed_type": "simple_projection", "class_embeddings_concat": True}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "configuration") -> Self:
        """Read either class of network that takes class labels, as ``_class_name`` says; see `JsonConfig.from_dict`."""
        of_audioldm2 = ClassConditionedAudioLDM2UNetConfig
        if cls is ClassConditionedUNetConfig and values.get("_class_name") == of_audioldm2.CLASS_NAME:
            return of_audioldm2.from_dict(values, source)  # pyright: ignore[reportReturnType]
        return super().from_dict(values, source)

    @classmethod
    def tiny(cls) -> Self:
        """As AudioLDM2's, with one transformer after each resnet, for a vector as wide as tiny CLAP's."""
        config = UNetConfig.tiny()
        shared = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
        widths = config.block_out_channels
        return cls(**{**shared, "cross_attention_dim": widths, "projection_class_embeddings_input_dim": 8})


@dataclasses.dataclass(frozen=True)
class ClassConditionedAudioLDM2UNetConfig(ClassConditionedUNetConfig):
    """Fields of ``AudioLDM2UNet2DConditionModel``'s JSON where a prompt is one vector, as in ``audioldm_48k``.

    There may be several transformers after each resnet, none of which reads the prompt: every entry of
    ``cross_attention_dim`` is None, as AudioLDM2's network has it.
    """

    CLASS_NAME = UNetConfig.CLASS_NAME
    REQUIRED: ClassVar = {
        name: known
        for name, known in ClassConditionedUNetConfig.REQUIRED.items()
        if name not in ("attention_type", "dropout", "resnet_out_scale_factor")
    }
    IGNORED = UNetConfig.IGNORED

    cross_attention_dim: tuple[tuple[NoneType, ...], ...] = ((None, None),) * 4  # pyright: ignore[reportIncompatibleVariableOverride]

    def __post_init__(self) -> None:
        UNetConfig.__post_init__(self)

    @property
    def cross_attention_dim_per_level(self) -> tuple[tuple[NoneType, ...], ...]:
        """At each level an entry for every transformer after a resnet; none of them reads a prompt."""
        return per_level(self.cross_attention_dim, len(self.block_out_channels), "cross_attention_dim")

    @classmethod
    def tiny(cls) -> Self:
        """As AudioLDM2's, with two transformers after each resnet, for a vector as wide as tiny CLAP's."""
        config = UNetConfig.tiny()
        shared = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
        shared["cross_attention_dim"] = ((None, None),) * len(config.block_out_channels)
        return cls(**{**shared, "projection_class_embeddings_input_dim": 8})


def read_unet_config(path: Path) -> UNetConfig:
    """Read the configuration of any class, as its ``_class_name`` and its ``class_embed_type`` say.

    Raises:
        ConfigError: as of `JsonConfig.from_file`.
    """
    values = read_json(path)
    is_labelled = (
        values.get("_class_name") == ClassConditionedUNetConfig.CLASS_NAME
        or values.get("class_embed_type") == "simple_projection"
    )
    return (ClassConditionedUNetConfig if is_labelled else UNetConfig).from_file(path)
