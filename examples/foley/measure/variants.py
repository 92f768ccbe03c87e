"""What the evaluation compares at every length: kinds of attention, and windows of the latents."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from examples.foley.world.clips import TRAINING_SECONDS
from litefocus_jax.diffusion.windows import WindowedDenoising
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to generate sound of any length.

    Attributes:
        litefocus: the attention; None is dense.
        scale_scores: scale attention scores by the logarithm of what a token sees against training.
        windowed: windows that the latents are denoised in; None denoises them whole.
    """

    litefocus: LiteFocusConfig | None = None
    scale_scores: bool = False
    windowed: WindowedDenoising | None = None


SYNTHESISED = "synthesised"
"""Not generated: what the same judges say of sounds from `examples.foley.world.sounds`."""

DENSE = "dense"
SCALED = ", scaled scores"
"""How the name of a variant ends that is another one with scaled scores."""

_SPARSE = "LiteFocus, r = 0.1"
_LINEAR = LiteFocusConfig.linear(TRAINING_SECONDS)
# A name tells the settings, because the ledger of an evaluation knows a variant by its name alone.
_WINDOW = f"window + cross, at most {_LINEAR.max_cross_tokens}"


ATTENTION: Mapping[str, Variant] = MappingProxyType(
    {
        DENSE: Variant(),
        _SPARSE: Variant(LiteFocusConfig()),
        "same frequency only": Variant(LiteFocusConfig(cross_frequency=False)),
        "cross frequency only, r = 0.1": Variant(LiteFocusConfig(same_frequency=False)),
    }
)
"""The paper's question: which of the two focus sets does it."""

LONG: Mapping[str, Variant] = MappingProxyType(
    {
        DENSE: Variant(),
        DENSE + SCALED: Variant(scale_scores=True),
        _SPARSE: Variant(LiteFocusConfig()),
        _SPARSE + SCALED: Variant(LiteFocusConfig(), scale_scores=True),
        _WINDOW: Variant(_LINEAR),
        _WINDOW + SCALED: Variant(_LINEAR, scale_scores=True),
        "MultiDiffusion": Variant(windowed=WindowedDenoising("average")),
        "SaFa": Variant(windowed=WindowedDenoising("swap")),
    }
)
"""All that the library has for sound of many training lengths."""
