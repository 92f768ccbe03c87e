"""A model in a few lines of text: its parts, their sizes, and what they make."""

import jax
from flax import nnx

from litefocus_jax.models.components import Components


def describe(components: Components) -> str:
    """Where the model comes from, the sound it makes, and its parts with classes, sizes and types."""
    geometry = components.facts.geometry
    training_length = geometry.training_length_in_s
    trained = "" if training_length is None else f", trained on {training_length:g} s"
    networks = components.modules
    weights = {name: jax.tree.leaves(nnx.state(module, nnx.Param)) for name, module in networks.items()}
    devices = {str(device) for leaves in weights.values() for leaf in leaves for device in leaf.devices()}
    rows = [("part", "class", "parameters", "type", "MB")]
    for name, leaves in weights.items():
        count, size = sum(leaf.size for leaf in leaves), sum(leaf.nbytes for leaf in leaves)
        types = ", ".join(sorted({str(leaf.dtype) for leaf in leaves}))
        rows.append((name, type(networks[name]).__name__, f"{count:,}", types, f"{size / 1e6:,.1f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        f"  {name:<{widths[0]}}  {kind:<{widths[1]}}  {count:>{widths[2]}}  {dtype:<{widths[3]}}  {size:>{widths[4]}}"
        for name, kind, count, dtype, size in rows
    ]
    return "\n".join(
        [
            f"{components.tokenizer.parent}, in {components.dtype} on {', '.join(sorted(devices))}",
            f"mono sound at {geometry.sampling_rate} Hz{trained}; scheduler {components.scheduler.class_name} "
            f"({components.scheduler.sampler})",
            *table,
        ]
    )
