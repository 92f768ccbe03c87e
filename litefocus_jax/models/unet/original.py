"""Where the tensors of the authors' ``UNetModel`` go: their names on the left, diffusers' on the right.

Theirs counts all layers on the way down, and all on the way up, in one list each; a layer is a resnet, followed by its
transformers and, at the end of a level, by what changes the resolution. Inside of transformers the names are the same.
"""

from collections.abc import Iterator

from litefocus_jax.models.keys import Rule
from litefocus_jax.models.unet.config import UNetConfig

_NETWORK = "model.diffusion_model."
_KIND = "{kind:weight|bias}"
_IN_RESNET = (
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
)


def original_rules(config: UNetConfig) -> tuple[Rule, ...]:
    """The rules of a network of this shape."""
    return (
        _renamed("time_embed.0", "time_embedding.linear_1"),
        _renamed("time_embed.2", "time_embedding.linear_2"),
        _renamed("input_blocks.0.0", "conv_in"),
        _renamed("out.0", "conv_norm_out"),
        _renamed("out.2", "conv_out"),
        # The authors' FiLM.
        *([] if config.class_labels_dim is None else [_renamed("film_emb", "class_embedding")]),
        *_way_down(config),
        *_middle(config),
        *_way_up(config),
    )


def _way_down(config: UNetConfig) -> Iterator[Rule]:
    number, last = 1, len(config.block_out_channels) - 1
    for level, layers in enumerate(config.layers_per_level):
        block = f"down_blocks.{level}"
        count = _transformers(config, level, config.down_block_types[level])
        for layer in range(layers):
            yield from _layer(f"input_blocks.{number}", block, layer, count)
            number += 1
        if level < last:
            yield _renamed(f"input_blocks.{number}.0.op", f"{block}.downsamplers.0.conv")
            number += 1


def _middle(config: UNetConfig) -> Iterator[Rule]:
    count = len(config.cross_attention_dim_per_level[-1])
    yield from _layer("middle_block", "mid_block", 0, count)
    yield from _resnet(f"middle_block.{count + 1}", "mid_block.resnets.1")


def _way_up(config: UNetConfig) -> Iterator[Rule]:
    number, last = 0, len(config.block_out_channels) - 1
    for place, block_type in enumerate(config.up_block_types):
        level, block = last - place, f"up_blocks.{place}"
        count = _transformers(config, level, block_type)
        for layer in range(config.layers_per_level[level] + 1):
            yield from _layer(f"output_blocks.{number}", block, layer, count)
            number += 1
        if level > 0:
            yield _renamed(f"output_blocks.{number - 1}.{count + 1}.conv", f"{block}.upsamplers.0.conv")


def _transformers(config: UNetConfig, level: int, block_type: str) -> int:
    """Transformers after each resnet of a block."""
    return len(config.cross_attention_dim_per_level[level]) if block_type.startswith("CrossAttn") else 0


def _layer(theirs: str, block: str, layer: int, transformers: int) -> Iterator[Rule]:
    yield from _resnet(f"{theirs}.0", f"{block}.resnets.{layer}")
    for place in range(transformers):
        ours = f"{block}.attentions.{layer * transformers + place}"
        yield Rule(f"{_NETWORK}{theirs}.{place + 1}.{{rest}}", f"{ours}.{{rest}}")


def _resnet(theirs: str, ours: str) -> Iterator[Rule]:
    for inner, renamed in _IN_RESNET:
        yield _renamed(f"{theirs}.{inner}", f"{ours}.{renamed}", optional=inner == "skip_connection")


def _renamed(theirs: str, ours: str, *, optional: bool = False) -> Rule:
    """The weight and the bias of one layer."""
    return Rule(f"{_NETWORK}{theirs}.{_KIND}", f"{ours}.{{kind}}", optional=optional)
