"""Long sound from text in JAX: AudioLDM2 in Flax NNX with LiteFocus sparse attention.

The public names are loaded on first use, so that importing the package costs nothing.
"""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litefocus_jax.checkpoint.errors import CheckpointError
    from litefocus_jax.diffusion.windows import WindowedDenoising
    from litefocus_jax.generation.output import AudioPipelineOutput
    from litefocus_jax.generation.resume import PartialRun
    from litefocus_jax.ops.litefocus.attention import litefocus_attention
    from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
    from litefocus_jax.pipeline import AudioLDM2Pipeline
    from litefocus_jax.system.json_config import ConfigError

_PUBLIC = {
    "AudioLDM2Pipeline": "litefocus_jax.pipeline",
    "AudioPipelineOutput": "litefocus_jax.generation.output",
    "CheckpointError": "litefocus_jax.checkpoint.errors",
    "ConfigError": "litefocus_jax.system.json_config",
    "LiteFocusConfig": "litefocus_jax.ops.litefocus.settings",
    "PartialRun": "litefocus_jax.generation.resume",
    "WindowedDenoising": "litefocus_jax.diffusion.windows",
    "litefocus_attention": "litefocus_jax.ops.litefocus.attention",
}

__all__ = [
    "AudioLDM2Pipeline",
    "AudioPipelineOutput",
    "CheckpointError",
    "ConfigError",
    "LiteFocusConfig",
    "PartialRun",
    "WindowedDenoising",
    "__version__",
    "litefocus_attention",
]

try:
    __version__ = version("litefocus-jax")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
