"""Low-rank adapters of the UNet: a few small matrices that are added to its weights, in the files of PEFT.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685), equation 3. A file of PEFT holds,
for each adapted layer of diffusers' UNet, ``<layer>.lora_A.weight`` ``[rank, in]`` and ``<layer>.lora_B.weight``
``[out, rank]``. Here both lie the other way, as kernels do.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from litefocus_jax.checkpoint.errors import CheckpointError, Problems, describe
from litefocus_jax.checkpoint.safetensors_files import read_file, write_packed_file
from litefocus_jax.checkpoint.weights import leaves, with_weights
from litefocus_jax.models.components import Components
from litefocus_jax.models.unet.keys import CLASS_CONDITIONED_KEYS
from litefocus_jax.system.files import expanded, replacement_folder, write_json
from litefocus_jax.system.json_config import Count, read_json
from litefocus_jax.system.typed_json import Range, read_as

LoraTarget = Literal["attention", "linear"]
"""Which layers are adapted: the projections of every attention, or every linear layer."""

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

_PREFIX = "base_model.model."  # what PEFT puts before the names of the module that it adapts
_KNOWN_KEY = re.compile(
    r"(?:base_model\.model\.|unet\.)?(?P<layer>.+?)(?:\.lora_(?P<side>[AB])(?:\.default)?\.weight|\.alpha)"
)
_ATTENTION = re.compile(r"(.+\.)?attn[12]\.to_(q|k|v|out)\.kernel")
_A, _B = ".lora_A", ".lora_B"

Adapter: TypeAlias = Mapping[str, Array | np.ndarray]
"""Arrays by name: for a layer with the kernel ``<path>.kernel``, ``<path>.lora_A`` ``[in, rank]`` and ``<path>.lora_B``
``[rank, out]``."""


@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """A low-rank adapter.

    Attributes:
        rank: of the product that is added to a kernel; the fewer, the smaller the adapter.
        alpha: the product is multiplied by ``alpha / rank``; the rank unless given.
        target: which layers are adapted.

    Raises:
        ValueError: naming the field, for a value out of range.
    """

    rank: int
    alpha: float | None = None
    target: LoraTarget = "attention"

    def __post_init__(self) -> None:
        if not isinstance(self.rank, int) or isinstance(self.rank, bool) or self.rank < 1:
            raise ValueError(f"lora_rank = {self.rank!r}; expected a whole number from 1")
        if self.alpha is not None and not 0.0 < self.alpha < float("inf"):
            raise ValueError(f"lora_alpha = {self.alpha!r}; expected a finite number more than 0")
        if self.target not in get_args(LoraTarget):
            raise ValueError(f"lora_target = {self.target!r}; expected {' or '.join(get_args(LoraTarget))}")

    @property
    def scale(self) -> float:
        """What the product of both matrices is multiplied by."""
        return 1.0 if self.alpha is None else self.alpha / self.rank


def adapted_kernels(kernels: Mapping[str, Any], target: LoraTarget) -> dict[str, tuple[int, int]]:
    """The kernels of a network that an adapter changes, with their shapes ``[in, out]``.

    Args:
        kernels: arrays by dotted path, or whatever has a shape.
        target: which of them.
    """
    return {
        path: tuple(leaf.shape)
        for path, leaf in kernels.items()
        if path.endswith(".kernel") and len(leaf.shape) == 2
        if target == "linear" or _ATTENTION.fullmatch(path)
    }


def added(kernels: Mapping[str, Array], adapter: Adapter, scale: float = 1.0) -> dict[str, Array]:
    """A network's arrays with an adapter added: ``kernel + scale * lora_A @ lora_B``, computed in float32.

    Args:
        kernels: all arrays of the network, by dotted path.
        adapter: for some of them.
        scale: of the product.
    """
    changed = dict(kernels)
    for name, down in adapter.items():
        if name.endswith(_A):
            layer = name.removesuffix(_A)
            kernel = kernels[f"{layer}.kernel"]
            product = jnp.matmul(down, adapter[layer + _B], precision="highest")
            changed[f"{layer}.kernel"] = (kernel.astype(jnp.float32) + scale * product).astype(kernel.dtype)
    return changed


def with_adapter(components: Components, source: str | Path, scale: float = 1.0) -> Components:
    """A model with an adapter added to its UNet.

    Args:
        components: the model; it is left as it is.
        source: as `read_adapter` takes it.
        scale: how much of the adapter is added; 0 leaves the model as it was, 1 is what was trained.

    Raises:
        CheckpointError: as `read_adapter`.
        ValueError: when the scale is not finite.
    """
    if not np.isfinite(scale):
        raise ValueError(f"scale = {scale}; expected a finite number, 1 for the adapter as it was trained")
    adapter = read_adapter(source, components.unet)
    unet = with_weights(components.unet, added(leaves(components.unet), adapter, scale))
    return dataclasses.replace(components, unet=unet)


def save_adapter(folder: str | Path, adapter: Adapter, config: LoraConfig, *, overwrite: bool = False) -> None:
    """Write an adapter as PEFT does: `ADAPTER_CONFIG` and `ADAPTER_WEIGHTS`, whole or not at all.

    ``PeftModel.from_pretrained(pipe.unet, folder)`` adds it to the UNet of diffusers. The scale is part of the stored
    ``lora_B``, so that the weights alone say what is added.

    Args:
        folder: destination.
        adapter: to write.
        config: of the adapter.
        overwrite: replace an earlier adapter.

    Raises:
        FileExistsError: when the folder exists without ``overwrite``, or holds no adapter.
        OSError: when it cannot be written.
    """
    tensors = {}
    for name, array in adapter.items():
        path, side = name[: -len(_A)], name[-len(_A) :]
        scaled = np.asarray(array, np.float32) * (config.scale if side == _B else 1.0)
        tensors[f"{_PREFIX}{_torch_layer(path)}{side}.weight"] = np.ascontiguousarray(scaled.T, np.float32)
    layers = sorted({key.removeprefix(_PREFIX).partition(".lora_")[0] for key in tensors})
    described = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "r": config.rank,
        "lora_alpha": config.rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": layers,
        "inference_mode": True,
    }
    with replacement_folder(Path(folder), overwrite=overwrite, marker=ADAPTER_CONFIG) as new:
        write_packed_file(new / ADAPTER_WEIGHTS, tensors, {"format": "pt"})
        write_json(new / ADAPTER_CONFIG, described)


def read_adapter(source: str | Path, unet: nnx.Module) -> dict[str, np.ndarray]:
    """Read an adapter for a UNet, whose scale becomes part of ``lora_B``.

    Layers may be named as PEFT does, or as diffusers' own files do, which put ``unet.`` before them.

    Args:
        source: a folder as `save_adapter` writes it, or a file of safetensors; beside it `ADAPTER_CONFIG`, where there
            is one, gives the scale.
        unet: the network that it is for, abstract or not.

    Raises:
        CheckpointError: when there is no adapter, or with everything in it that is unknown, misshapen, not finite or
            alone, since it belongs to another network or is of another kind.
    """
    path = expanded(source)
    path = path / ADAPTER_WEIGHTS if path.is_dir() else path
    if not path.exists():
        raise CheckpointError(
            f"{path} does not exist; expected a folder with {ADAPTER_WEIGHTS}, as finetune --lora writes it, or a "
            ".safetensors file"
        )
    kernels, problems = leaves(unet), Problems(str(path))
    sizes = adapted_kernels(kernels, "linear")
    parts: dict[str, dict[str, np.ndarray]] = {}
    for key, tensor in read_file(path).items():
        match = _KNOWN_KEY.fullmatch(key)
        kernel = _our_kernel(match["layer"]) if match else None
        if match is None or kernel not in sizes:
            problems.add("tensors that are no part of a low-rank adapter of this UNet", describe(key, tensor.shape))
            continue
        if not jnp.issubdtype(tensor.dtype, jnp.floating) and match["side"]:
            problems.add("tensors of a wrong type", f"{describe(key, tensor.shape)} is {tensor.dtype}")
        with np.errstate(over="ignore"):
            values = np.asarray(tensor).astype(np.float32).T
        if not np.isfinite(values).all():
            problems.add("NaN or infinite values", describe(key, tensor.shape))
        part = parts.setdefault(kernel.removesuffix(".kernel"), {})
        if match["side"] in part or (match["side"] is None and "alpha" in part):
            problems.add("tensors under two names", describe(key, tensor.shape))
        part[match["side"] or "alpha"] = values
    stated = _stated_scale(path)
    adapter: dict[str, np.ndarray] = {}
    for layer, found in parts.items():
        down, up, alpha = found.get("A"), found.get("B"), found.get("alpha")
        if down is None or up is None:
            problems.add("layers without one of lora_A and lora_B", layer)
            continue
        size = sizes[f"{layer}.kernel"]
        if down.ndim != 2 or not down.size or up.shape != (down.shape[1], size[1]) or len(down) != size[0]:
            product = f"{layer}: {list(down.shape)} times {list(up.shape)}"
            problems.add("misshapen pairs", f"{product}; expected a product of {list(size)}")
            continue
        adapter[layer + _A] = down
        if alpha is not None and alpha.size != 1:
            problems.add("alphas that are no single number", describe(layer, alpha.shape))
            continue
        with np.errstate(over="ignore"):
            scaled = up * np.float32(stated if alpha is None else float(alpha.item()) / len(up))
        if not np.isfinite(scaled).all():
            problems.add("infinite values, once scaled", describe(layer, up.shape))
        adapter[layer + _B] = scaled
    problems.raise_any()
    if not adapter:
        raise CheckpointError(f"{path} holds no tensors; expected lora_A and lora_B of some layers")
    return adapter


def _stated_scale(path: Path) -> float:
    """The scale that PEFT's configuration gives, where it lies beside the weights."""
    beside = path.with_name(ADAPTER_CONFIG)
    if not beside.is_file():
        return 1.0
    values = read_json(beside)
    if any(values.get(name) for name in ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern")):
        raise CheckpointError(f"{beside} describes DoRA, rsLoRA, or ranks that differ; expected plain LoRA")
    rank, alpha = values.get("r"), values.get("lora_alpha")
    try:
        rank = read_as(Count, rank, f"{beside}: r")
        return read_as(Annotated[float, Range(1e-6, 1e6)], alpha, f"{beside}: lora_alpha") / rank
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _our_kernel(torch_layer: str) -> str | None:
    """The kernel of a layer that PyTorch names, or None."""
    names = (rule.rename(f"{torch_layer}.weight") for rule in CLASS_CONDITIONED_KEYS.rules)
    return next((name for name in names if name is not None), None)


def _torch_layer(path: str) -> str:
    """PyTorch's name of a layer of ours."""
    names = (rule.inverse.rename(f"{path}.kernel") for rule in CLASS_CONDITIONED_KEYS.rules)
    return next(name for name in names if name is not None).removesuffix(".weight")
