"""VGGish: a vector for every 0.96 s of a sound (Hershey et al., arXiv 1609.09430), as torchvggish has it.

Letters in shape comments: B examples, T frames, F mel bins, C channels.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Self

import jax
from flax import nnx
from jaxtyping import Array, Float

from litefocus_jax.models import parameters
from litefocus_jax.models.keys import KeyTable, Network, Rule
from litefocus_jax.ops.convolution import convolve_3x3
from litefocus_jax.system.json_config import ConfigError, JsonConfig


@dataclasses.dataclass(frozen=True)
class VggishConfig(JsonConfig):
    """What can differ of the network; the published one has the defaults.

    Attributes:
        num_frames: of an example's spectrogram.
        num_bands: of the same.
        levels: channels of the convolutions of each level; each level ends with a halving of both axes.
        features: of the hidden layers and, last, of the embedding.
    """

    num_frames: int = 96
    num_bands: int = 64
    levels: tuple[tuple[int, ...], ...] = ((64,), (128,), (256, 256), (512, 512))
    features: tuple[int, ...] = (4096, 4096, 128)

    def __post_init__(self) -> None:
        smallest = 2 ** len(self.levels)
        if self.num_frames % smallest or self.num_bands % smallest:
            raise ConfigError(
                f"num_frames = {self.num_frames} and num_bands = {self.num_bands}; expected multiples of {smallest}"
            )

    @classmethod
    def tiny(cls) -> Self:
        """The published examples, a few channels wide."""
        return cls(levels=((2,), (3,), (4, 4), (5, 5)), features=(12, 10, 8))


class Vggish(nnx.Module):
    """Log-mel examples to embeddings.

    Layers are named by their places in PyTorch's ``Sequential``, which counts activations and poolings too. The
    examples are `litefocus_jax.evaluation.spectrograms.vggish_examples`. What the published network does to embeddings
    afterwards (PCA, quantisation) is left out, as by audioldm_eval and frechet_audio_distance.
    """

    def __init__(self, config: VggishConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.features, self.embeddings = nnx.Dict(), nnx.Dict()
        channels, place = 1, 0
        for level in config.levels:
            for out_channels in level:
                self.features[str(place)] = parameters.conv(
                    channels, out_channels, (3, 3), padding=1, conv_general_dilated=convolve_3x3, rngs=rngs
                )
                channels, place = out_channels, place + 2
            place += 1
        halvings = 2 ** len(config.levels)
        width = config.num_frames // halvings * (config.num_bands // halvings) * channels
        for number, out_features in enumerate(config.features):
            self.embeddings[str(2 * number)] = parameters.linear(width, out_features, rngs=rngs)
            width = out_features

    def __call__(
        self, examples: Float[Array, "examples frames bands"], *, last_activation: bool = False
    ) -> Float[Array, "examples features"]:
        """Embed examples.

        Args:
            examples: ``[examples, 96, 64]``.
            last_activation: cut negative features off, as the published network does; audioldm_eval does not.

        Raises:
            ValueError: when the examples have another shape.
        """
        config = self.config
        if examples.ndim != 3 or examples.shape[1:] != (config.num_frames, config.num_bands):
            raise ValueError(
                f"examples has shape {examples.shape}; expected [examples, {config.num_frames}, {config.num_bands}]"
            )
        x, place = examples[..., None], 0  # [B, T, F, 1]
        for level in config.levels:
            for _ in level:
                x, place = jax.nn.relu(self.features[str(place)](x)), place + 2
            x, place = nnx.max_pool(x, (2, 2), strides=(2, 2)), place + 1  # [B, T/2, F/2, C]
        x = x.reshape(len(x), -1)  # time before frequency before channels, as in TensorFlow's original
        last = len(config.features) - 1
        for number in range(last + 1):
            x = self.embeddings[str(2 * number)](x)
            if number < last or last_activation:
                x = jax.nn.relu(x)
        return x


def config_of(stored: Mapping[str, tuple[int, ...]]) -> VggishConfig:
    """The configuration of a file of weights, which has none beside it: its sizes are those of its tensors.

    Args:
        stored: shapes of its tensors, by name.
    """
    levels: list[tuple[int, ...]] = []
    last = None
    for place, channels in _outputs(stored, "features"):
        if last is None or place - last > 2:  # a pooling lies between
            levels.append(())
        levels[-1] += (channels,)
        last = place
    return VggishConfig(levels=tuple(levels), features=tuple(width for _, width in _outputs(stored, "embeddings")))


def _outputs(stored: Mapping[str, tuple[int, ...]], sequence: str) -> list[tuple[int, int]]:
    """Place and number of outputs of each layer of a ``Sequential``."""
    pattern = re.compile(rf"{sequence}\.(\d+)\.weight")
    return sorted((int(match[1]), shape[0]) for name, shape in stored.items() if (match := pattern.fullmatch(name)))


_RULES = (
    Rule(r"features.{place:\d+}.weight", "features.{place}.kernel", "conv2d"),
    Rule(r"features.{place:\d+}.bias", "features.{place}.bias"),
    Rule(r"embeddings.{place:\d+}.weight", "embeddings.{place}.kernel", "linear"),
    Rule(r"embeddings.{place:\d+}.bias", "embeddings.{place}.bias"),
)
_IGNORED = ("pproc.{rest}",)  # PCA, where it is stored beside the network

NETWORK = Network(
    config_class=VggishConfig,
    model_class=Vggish,
    keys=KeyTable(_RULES, _IGNORED),
    library="torchvggish",
    class_names=("VGGish",),
    always_float32=True,
)
