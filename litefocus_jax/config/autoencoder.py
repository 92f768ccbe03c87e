"""Configurations of the VAE (mel spectrogram to latent and back) and of the vocoder (mel spectrogram to sound)."""

import dataclasses
import math
from typing import ClassVar, Self

from litefocus_jax.config.reading import ConfigError, JsonConfig


@dataclasses.dataclass(frozen=True)
class VAEConfig(JsonConfig):
    """Fields of diffusers' ``AutoencoderKL`` JSON."""

    CLASS_NAME = "AutoencoderKL"
    REQUIRED: ClassVar = {
        "act_fn": ("silu", "swish"),
        "shift_factor": (None,),
        "latents_mean": (None,),
        "latents_std": (None,),
    }
    # sample_size only sizes diffusers' own tiling; force_upcast asks for float32, which the caller chooses by dtype.
    IGNORED = frozenset({"sample_size", "force_upcast"})

    in_channels: int = 3
    out_channels: int = 3
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",)
    block_out_channels: tuple[int, ...] = (64,)
    layers_per_block: int = 1
    latent_channels: int = 4
    norm_num_groups: int = 32
    scaling_factor: float = 0.18215
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True

    def __post_init__(self) -> None:
        levels = len(self.block_out_channels)
        for name, types, known in (
            ("down_block_types", self.down_block_types, "DownEncoderBlock2D"),
            ("up_block_types", self.up_block_types, "UpDecoderBlock2D"),
        ):
            if types != (known,) * levels:
                raise ConfigError(f"{name} = {types!r} is not supported; expected {levels} times {known!r}")
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise ConfigError(f"block_out_channels has {channels}, not a multiple of {self.norm_num_groups} groups")

    @property
    def scale_factor(self) -> int:
        """Mel frames per latent frame, and mel bins per latent frequency."""
        return 2 ** (len(self.block_out_channels) - 1)

    @classmethod
    def tiny(cls) -> Self:
        """Three levels (4x down-sampling), as published, a few channels wide."""
        return cls(
            in_channels=1,
            out_channels=1,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(8, 8, 16),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            scaling_factor=0.5,
        )


@dataclasses.dataclass(frozen=True)
class VocoderConfig(JsonConfig):
    """Fields of transformers' ``SpeechT5HifiGan`` JSON."""

    STRICT = False

    model_in_dim: int = 80
    sampling_rate: int = 16000
    upsample_initial_channel: int = 512
    upsample_rates: tuple[int, ...] = (4, 4, 4, 4)
    upsample_kernel_sizes: tuple[int, ...] = (8, 8, 8, 8)
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    leaky_relu_slope: float = 0.1
    normalize_before: bool = True

    def __post_init__(self) -> None:
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            raise ConfigError(
                f"upsample_rates = {self.upsample_rates} and upsample_kernel_sizes = {self.upsample_kernel_sizes} "
                "have different lengths; expected one kernel size per rate"
            )
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True):
            if kernel < rate:
                raise ConfigError(f"upsample_kernel_sizes has {kernel}, less than its rate {rate}")
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise ConfigError("resblock_kernel_sizes and resblock_dilation_sizes have different lengths")
        if any(kernel % 2 == 0 for kernel in self.resblock_kernel_sizes):
            raise ConfigError(f"resblock_kernel_sizes = {self.resblock_kernel_sizes}; expected odd sizes")

    @property
    def hop_length(self) -> int:
        """Samples of sound per mel frame."""
        return math.prod(self.upsample_rates)

    @classmethod
    def tiny(cls) -> Self:
        """The published rates (hop 160 at 16 kHz, odd and even), a few channels wide."""
        return cls(
            model_in_dim=32,
            upsample_initial_channel=32,
            upsample_rates=(5, 4, 2, 2, 2),
            upsample_kernel_sizes=(16, 16, 8, 4, 4),
            resblock_kernel_sizes=(3, 7),
            resblock_dilation_sizes=((1, 3), (1, 5)),
            normalize_before=False,
        )
