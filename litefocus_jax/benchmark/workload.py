"""The work that is measured: one evaluation of the UNet under guidance, or the decoding of one sound."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any, Literal

from litefocus_jax.generation.attention import attention_layout
from litefocus_jax.generation.options import LiteFocusChoice
from litefocus_jax.models.components import LatentGeometry
from litefocus_jax.models.unet.config import UNetConfig, read_unet_config
from litefocus_jax.models.unet.heads import Heads, with_heads
from litefocus_jax.models.vae import VAEConfig
from litefocus_jax.models.vocoder import VocoderConfig
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.ops.litefocus.settings import FromLength, LiteFocusConfig

BATCH_SIZE = 2  # one sound, with and without its prompt
PROMPT_TOKENS = 32  # tokens of the T5 encoder; a long sentence
GENERATED_VECTORS = 8  # vectors that the language model generates

OUR_VARIANTS = ("dense", "litefocus", "same_frequency", "linear", "token_merging", "auto")
DEFAULT_VARIANTS = ("dense", "litefocus", "same_frequency", "auto")
DECODER_VARIANT = "decoder"
TILES_VARIANT = "tiles"
PEER = "diffusers"

Part = Literal["unet", "decoder", "tiles"]
"""What is timed: one evaluation of the UNet under guidance, VAE and vocoder for one sound in one piece, or the same in
tiles and to a WAV file."""


@dataclasses.dataclass(frozen=True)
class Workload:
    """What one worker runs.

    Attributes:
        variant: one of `OUR_VARIANTS`, for the decoder `DECODER_VARIANT` or `TILES_VARIANT`, or `PEER`.
        duration_in_s: seconds of sound.
        size: name of a published configuration, for random weights; or None for a model's own weights.
        model: folder or hub id of a model, or None for random weights.
        dtype: floating-point type of weights and computation; the decoder's are always float32.
        part: what is timed.
        token_merging: share of tokens that the variant ``"token_merging"`` merges.
        heads: of the UNet's attention; None for those that the configuration says.
    """

    variant: str
    duration_in_s: float
    size: str | None
    model: str | None
    dtype: str
    part: Part = "unet"
    token_merging: float = 0.5
    heads: Heads | None = None

    def to_json(self) -> str:
        """One line that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Workload":
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))

    @property
    def attention(self) -> AttentionLayout:
        """The self-attention of the variant."""
        if self.variant == "token_merging":
            return attention_layout(None, self.geometry(), self.duration_in_s, token_merging=self.token_merging)
        choices: dict[str, LiteFocusChoice] = {
            "litefocus": "on",
            "same_frequency": LiteFocusConfig(cross_frequency=False),
            "linear": "linear",
            "auto": "auto",
        }
        choice = choices.get(self.variant)
        if choice is None:
            return DENSE
        if self.model is None or choice != "auto":
            return attention_layout(choice, self.geometry(), self.duration_in_s)
        return attention_layout(choice, self.geometry(), self.duration_in_s, by_length=_by_length(self.model))

    def configs(self) -> dict[str, Any]:
        """The configurations that decide the shapes, by sub-model.

        Raises:
            ValueError: when the UNet cannot have the heads.
        """
        if self.model is None:
            from litefocus_jax.checkpoint.random_model import sub_model_configs

            return sub_model_configs(self.size or "audioldm2", self.heads)
        from litefocus_jax.checkpoint.store import local_folder

        folder = local_folder(self.model)
        readers = {"unet": read_unet_config, "vae": VAEConfig.from_file, "vocoder": VocoderConfig.from_file}
        configs: dict[str, Any] = {name: read(folder / name / "config.json") for name, read in readers.items()}
        return configs if self.heads is None else {**configs, "unet": with_heads(configs["unet"], self.heads)}

    def geometry(self) -> LatentGeometry:
        """How seconds become latent frames."""
        return LatentGeometry.from_configs(**self.configs())

    def latent_shape(self) -> tuple[int, int, int, int]:
        """``(batch, time, frequency, channels)`` of the UNet's input."""
        geometry = self.geometry()
        return BATCH_SIZE, geometry.latent_frames(self.duration_in_s), geometry.frequencies, geometry.channels


@functools.cache
def _by_length(model: str) -> tuple[FromLength, ...]:
    """What "auto" chooses for a model, which is opened once however many workloads ask."""
    from litefocus_jax.checkpoint.store import open_checkpoint

    return open_checkpoint(model).defaults.litefocus_by_length


def prompt_widths(config: UNetConfig) -> tuple[int, int]:
    """Widths of the language model's vectors and of the text encoder's states that a UNet attends to."""
    dims = config.cross_attention_dim_per_level[-1]
    generated = [dim for dim in dims[:2] if dim is not None]
    text = [dim for dim in dims[2:] if dim is not None]
    return (generated or text)[0], (text or generated)[0]


def equivalent(first: Workload, second: Workload) -> bool:
    """Whether two workloads run the same program."""
    same = dataclasses.replace(first, variant=second.variant) == second
    return same and PEER not in (first.variant, second.variant) and first.attention == second.attention


def peer_folder() -> Path:
    """The clone that holds the peer's worker, which is not part of the installed package.

    Raises:
        FileNotFoundError: when the package is not in a clone.
    """
    clone = Path(__file__).parents[2]
    if not (clone / "convert" / "diffusers_worker.py").is_file():
        raise FileNotFoundError(
            "--against diffusers needs a clone of the repository, installed with pip install -e '.[test]': "
            "the code that runs PyTorch is not part of the package"
        )
    return clone
