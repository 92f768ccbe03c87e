"""The files of the judges' weights: PANNs' Cnn14, VGGish and aiSFX, under PyTorch's names in safetensors."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import jax.numpy as jnp

from litefocus_jax.checkpoint import safetensors_files, weights
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.matching import check, convert
from litefocus_jax.checkpoint.tensors import Tensors
from litefocus_jax.models import aisfx, cnn14, vggish
from litefocus_jax.models.aisfx import Aisfx
from litefocus_jax.models.cnn14 import Cnn14
from litefocus_jax.models.keys import Network
from litefocus_jax.models.vggish import Vggish
from litefocus_jax.system.json_config import ConfigError, JsonConfig

_PICKLES = (".pth", ".pt", ".bin", ".ckpt")


@dataclasses.dataclass(frozen=True)
class PublishedJudge:
    """Where the weights of a judge come from.

    Attributes:
        name: what it is called.
        network: what it is.
        files: the published files.
        address: where they lie.
        licence: of the weights.
        sign: a tensor that no other judge has.
        config_of: its configuration, from the shapes of its tensors by name.
    """

    name: str
    network: Network
    files: tuple[str, ...]
    address: str
    licence: str
    sign: str
    config_of: Callable[[Mapping[str, tuple[int, ...]]], JsonConfig]

    @property
    def advice(self) -> str:
        """How to come by its weights, to end a message with."""
        short = f"{self.name.lower()}.safetensors"
        return (
            f"download {' or '.join(self.files)} from {self.address} ({self.licence}), and make safetensors of it: "
            f"`python -m convert {self.files[0]} {short}`, run from a clone of the litefocus-jax repository"
        )


CNN14 = PublishedJudge(
    name="Cnn14",
    network=cnn14.NETWORK,
    files=("Cnn14_16k_mAP=0.438.pth", "Cnn14_mAP=0.431.pth"),
    address="https://zenodo.org/records/3987831",
    licence="CC BY 4.0",
    sign="conv_block1.conv1.weight",
    config_of=cnn14.config_of,
)
VGGISH = PublishedJudge(
    name="VGGish",
    network=vggish.NETWORK,
    files=("vggish-10086976.pth",),
    address="https://github.com/harritaylor/torchvggish/releases/tag/v0.1",
    licence="Apache 2.0",
    sign="features.0.weight",
    config_of=vggish.config_of,
)
AISFX = PublishedJudge(
    name="aiSFX",
    network=aisfx.NETWORK,
    files=("checkpoint.pth",),
    address="the wheel of aisfx 0.1.2, `pip download --no-deps aisfx==0.1.2` and `unzip -j aisfx-*.whl '*.pth'`",
    licence="CC BY 4.0",
    sign="embedding_net.conv_block1.conv1.weight",
    config_of=aisfx.config_of,
)
PUBLISHED = (CNN14, VGGISH, AISFX)


def load_cnn14(path: str | Path) -> Cnn14:
    """Read the weights of PANNs' Cnn14; which of the published two it is follows from the file.

    Raises:
        CheckpointError: when the file is missing (and where to have it from), a pickle, damaged, of another network, or
            anything in it is missing, unknown, misshapen or not finite.
    """
    return cast(Cnn14, _load(Path(path), CNN14))


def load_vggish(path: str | Path) -> Vggish:
    """Read the weights of VGGish, as torchvggish has them.

    Raises:
        CheckpointError: as `load_cnn14`.
    """
    return cast(Vggish, _load(Path(path), VGGISH))


def load_aisfx(path: str | Path) -> Aisfx:
    """Read the weights of aiSFX, as its wheel has them.

    Raises:
        CheckpointError: as `load_cnn14`.
    """
    return cast(Aisfx, _load(Path(path), AISFX))


def recognised(tensors: Tensors, source: str) -> PublishedJudge:
    """Which judge some tensors are of; names and shapes of all of them are checked.

    Raises:
        CheckpointError: when they are of none, or do not fit the one that they look like.
    """
    for judge in PUBLISHED:
        if judge.sign in tensors:
            check(tensors, judge.network.keys, weights.leaves(_abstract(judge, tensors, source)), source)
            return judge
    known = ", ".join(f"{judge.name} ({judge.sign})" for judge in PUBLISHED)
    raise CheckpointError(f"{source} holds no judge that is known; expected one of {known}")


def _load(path: Path, judge: PublishedJudge) -> Any:
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; expected the weights of {judge.name}: {judge.advice}")
    if path.suffix in _PICKLES:
        raise CheckpointError(f"{path} is a PyTorch pickle, which could run code; {judge.advice}")
    tensors = safetensors_files.read_file(path)
    if judge.sign not in tensors:
        raise CheckpointError(f"{path} holds no {judge.sign}; expected the weights of {judge.name}: {judge.advice}")
    module = _abstract(judge, tensors, str(path))
    arrays = convert(tensors, judge.network.keys, weights.leaves(module), str(path))
    return weights.fill(module, arrays, jnp.float32)


def _abstract(judge: PublishedJudge, tensors: Tensors, source: str) -> Any:
    try:
        config = judge.config_of({name: tensor.shape for name, tensor in tensors.items()})
        return weights.abstract(judge.network.model_class, config)
    except ConfigError as error:
        raise CheckpointError(f"{source}: {error}") from None
