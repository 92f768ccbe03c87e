"""A small training that tests share: one sound with captions that change."""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from litefocus_jax.checkpoint.random_model import sub_model_configs
from litefocus_jax.checkpoint.weights import abstract, leaves
from litefocus_jax.models.components import Components
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.models.vae import LatentDistribution
from litefocus_jax.parallel.mesh import DATA_AXIS
from litefocus_jax.training.config import TrainingConfig
from litefocus_jax.training.distribution import Distribution, Shard
from litefocus_jax.training.loop import train
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.sources import Source, load
from litefocus_jax.training.state import Architecture, TrainingState, frozen_weights, state_laid_out, trained_weights
from litefocus_jax.training.step import Figures, update
from litefocus_jax.training.updates import NamedBatch
from tests.support.models import small_components

CONFIG = TrainingConfig(
    steps=24,
    batch_size=8,
    learning_rate=5e-3,
    warmup_steps=2,
    # So large that rounding of small gradients stays small in the update.
    adam_epsilon=1e-3,
    trainable=("unet", "projection_model"),
    save_every=4,
)


@dataclasses.dataclass(frozen=True)
class OneSound:
    """Batches of the same latents, with captions of random tokens and lengths."""

    batch_size: int = CONFIG.batch_size
    not_a_number_at: int | None = None

    def batch(self, index: int) -> NamedBatch[Batch]:
        mean = np.tile(np.random.default_rng(0).standard_normal((1, 8, 4, 4), np.float32), (self.batch_size, 1, 1, 1))
        if index == self.not_a_number_at:
            mean[1, 0, 0, 0] = np.nan
        generator = np.random.default_rng([1, index])
        ids = generator.integers(4, 100, (self.batch_size, 6)).astype(np.int32)
        mask = np.arange(6) < generator.integers(1, 7, (self.batch_size, 1))
        latents = LatentDistribution(jnp.asarray(mean), jnp.full(mean.shape, -8.0))
        return NamedBatch(
            Batch(latents, ids, mask, ids, mask), tuple(f"sound-{clip}.wav" for clip in range(self.batch_size))
        )


@contextlib.contextmanager
def quick_compilation() -> Iterator[None]:
    """Let XLA compile in half the time, to a slower program."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


def train_small(
    folder: Path,
    source: Source | None = None,
    *,
    components: Components | None = None,
    config: TrainingConfig = CONFIG,
    **keywords: Any,
) -> Components:
    """`train` on `small_components`, `OneSound` and `CONFIG` unless others are given."""
    with quick_compilation():
        return train(components or small_components(), source or OneSound(), config, folder, **keywords)


def update_once(devices: int = 1, shard: Shard = "none", **changes: Any) -> tuple[TrainingState, Figures]:
    """The state and the figures after one update under `CONFIG` with some fields changed."""
    config, components = dataclasses.replace(CONFIG, **changes), small_components()
    distribution = Distribution.of(Mesh(np.array(jax.devices()[:devices]), (DATA_AXIS,)), shard)
    source = OneSound(config.batch_size)
    with quick_compilation():
        return update(
            state_laid_out(trained_weights(components, config), config, distribution),
            distribution.lay_out(frozen_weights(components, config)),
            load(source, 0, config.batch_size, config.gradient_accumulation, distribution).batch,
            distribution.replicate(jax.random.key(config.seed)),
            architecture=Architecture.of(components, config.litefocus),
            config=config,
            distribution=distribution,
        )


def largest_difference(actual: Any, expected: Any) -> float:
    """Of all numbers in two pytrees, relative to the largest number of its array where that is more than one."""
    differences = jax.tree.map(
        lambda one, other: float(np.max(np.abs(one - other)) / max(1.0, np.max(np.abs(other)))),
        jax.device_get(actual),
        jax.device_get(expected),
    )
    return max(jax.tree.leaves(differences))


if __name__ == "__main__":  # in a process of eight devices, for test_training_step.py; writes to the path it is given
    assert len(jax.devices()) == 8
    found, in_shares = update_once(devices=8), update_once(devices=8, shard="fsdp")
    replicas = [shard.data for shard in found[0].weights["unet"]["conv_in.kernel"].addressable_shards]
    assert len(replicas) == 8
    assert all(np.array_equal(replica, replicas[0]) for replica in replicas)
    held = [
        [sum(leaf.addressable_shards[each].data.nbytes for leaf in jax.tree.leaves(part)) for part in in_shares[0]]
        for each in range(8)
    ]
    arrays = {
        f"{name}_{number:03d}": leaf
        for name, result in (("whole", found), ("shares", in_shares))
        for number, leaf in enumerate(jax.tree.leaves(jax.device_get(result)))
    }
    mesh = Mesh(np.array(jax.devices()), (DATA_AXIS,))
    published = leaves(abstract(UNet, sub_model_configs("audioldm2")["unet"]))
    np.savez(
        sys.argv[1],
        held=np.array(held),
        of=np.array([sum(leaf.nbytes for leaf in jax.tree.leaves(part)) for part in in_shares[0]]),
        published=np.array([Distribution(mesh, shard).bytes_of_each(published) for shard in ("none", "fsdp")]),
        **arrays,
    )
