"""LiteFocus on plain arrays, without any model: what it computes, and how far it is from dense attention.

python examples/sparse_attention.py
"""

import jax
import jax.numpy as jnp

from litefocus_jax import LiteFocusConfig, litefocus_attention

BATCH, TIME, FREQUENCY, HEADS, HEAD_DIM = 1, 100, 8, 4, 32
FRAME_IN_S = 0.08  # of the published models at the level where LiteFocus works; it matters to a reach alone


def main() -> None:
    """Compare the paper's focus sets with dense attention on random tokens."""
    shape = (BATCH, TIME * FREQUENCY, HEADS, HEAD_DIM)  # time-major: token t * FREQUENCY + f
    query, key, value = (jax.random.normal(jax.random.key(index), shape) for index in range(3))
    dense = jax.nn.dot_product_attention(query, key, value)

    variants = {
        "same frequency": LiteFocusConfig(cross_frequency=False),
        "cross frequency, 10%": LiteFocusConfig(same_frequency=False),
        "both, 10%": LiteFocusConfig(),
        "both, all tokens": LiteFocusConfig(sparse_ratio=1.0, overlap="union"),
    }
    for name, config in variants.items():
        sparse = litefocus_attention(
            query, key, value, num_frequencies=FREQUENCY, layout=config.layout(FRAME_IN_S), key_rng=jax.random.key(3)
        )
        difference = jnp.sqrt(jnp.mean((sparse - dense) ** 2) / jnp.mean(dense**2))
        print(f"{name:22s} differs from dense attention by {float(difference):.3f} of its size")


if __name__ == "__main__":
    main()
