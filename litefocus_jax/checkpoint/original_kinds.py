"""Which of the authors' models a file holds, told from its keys and shapes."""

from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.original_shapes import CLAP, JOINT, T5, UNET, Shapes
from litefocus_jax.checkpoint.tensors import Tensors

VARIANTS = {"audioldm2-full": (3, 1), "audioldm2-music-665k": (3, 1), "audioldm2-full-large-1150k": (4, 2)}
"""The published checkpoints that can be read: transformers after each resnet, and blocks in each transformer."""

_FOREIGN = (
    ("cond_stage_model.", "an AudioLDM of the first version"),
    (JOINT + "cond_stage_models.1.text_encoder.", "an AudioLDM2 for speech, with an encoder of phonemes"),
    (JOINT + "model.text_branch.", "an AudioLDM of the first kind, conditioned on CLAP alone"),
    (JOINT + "model.encoder.", "an AudioLDM of the first kind, conditioned on T5 alone"),
)


def check_kind(tensors: Tensors, source: str, variant: str | None) -> str:
    """What a file holds, in words.

    Args:
        tensors: of the file.
        source: the file, for errors.
        variant: what it is said to be, or None.

    Raises:
        CheckpointError: when it holds no AudioLDM2 that can be read, or another variant.
        ValueError: when the variant is unknown.
    """
    if variant is not None and variant not in VARIANTS:
        raise ValueError(f"variant = {variant!r}; expected one of {', '.join(VARIANTS)}")
    if not any(key.startswith(UNET) for key in tensors):
        raise CheckpointError(
            f"{source} is no checkpoint of AudioLDM2 as its authors publish it: no key begins with {UNET}; expected "
            f"one of {', '.join(VARIANTS)}"
        )
    for prefix, words in _FOREIGN:
        if any(key.startswith(prefix) for key in tensors):
            raise CheckpointError(
                f"{source} is {words} (there are keys {prefix}*), which is not supported; expected one of "
                f"{', '.join(VARIANTS)}"
            )
    if missing := [
        prefix for prefix in (CLAP, JOINT + "model.", T5) if not any(key.startswith(prefix) for key in tensors)
    ]:
        raise CheckpointError(
            f"{source} is not a whole AudioLDM2: no key begins with {' or '.join(missing)}; expected one of "
            f"{', '.join(VARIANTS)}"
        )
    transformers, depth = found = _attention(Shapes(tensors, UNET, source))
    words = f"{transformers} transformers after each resnet, of {depth} block{'s' if depth > 1 else ''} each"
    if variant is not None and VARIANTS[variant] != found:
        expected = VARIANTS[variant]
        alike = [name for name, numbers in VARIANTS.items() if numbers == found]
        raise CheckpointError(
            f"{source} is not {variant}: its UNet has {words}; expected {expected[0]} and {expected[1]}. "
            + (f"It has the shape of {' and '.join(alike)}" if alike else "It has the shape of no published one")
        )
    names = [name for name, numbers in VARIANTS.items() if numbers == found]
    return f"{variant or ' or '.join(names) or 'an AudioLDM2 of its own'} ({words})"


def _attention(shapes: Shapes) -> tuple[int, int]:
    """Transformers after each resnet, and blocks in each transformer; those of the middle are those of all."""
    transformers = shapes.count("middle_block.{}.norm.weight", first=1)
    return transformers, shapes.count("middle_block.1.transformer_blocks.{}.norm1.weight")
