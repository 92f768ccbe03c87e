"""Which of the authors' models a file holds, told from its keys and shapes."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.original_shapes import CLAP, JOINT, PHONEMES, T5, UNET, Shapes, channels_of
from litefocus_jax.checkpoint.tensors import Tensors
from litefocus_jax.models.keys import Rule
from litefocus_jax.models.model_type import AUDIOLDM, AUDIOLDM2, AUDIOLDM2_SPEECH, AUDIOLDM_T5, MUSICLDM, ModelType
from litefocus_jax.models.unet.heads import HEAD_CHANNELS

Weights = Literal["model", "ema"]
"""The UNet's weights as they were trained last, or their moving average."""


@dataclasses.dataclass(frozen=True, eq=False)
class Kind:
    """A way in which the authors lay their files out.

    Attributes:
        described: what such a file is.
        model_type: of its model.
        mark: what keys begin with that only such files have.
        needed: what keys begin with of which there have to be some.
        moved: where an encoder lies, by where it lies in a file of AudioLDM2, for which all tables are written.
        weights: of the UNet, with which its authors sample.
        used: patterns that are ignored in a file of AudioLDM2, and not in this one.
    """

    described: str
    model_type: ModelType
    mark: str
    needed: tuple[str, ...]
    moved: Mapping[str, str] = dataclasses.field(default_factory=dict)
    weights: Weights = "model"
    used: tuple[str, ...] = ()

    def place(self, key: str) -> str:
        """A key, a beginning of keys or a pattern as this kind of file has it.

        Args:
            key: as in a file of AudioLDM2.
        """
        for usual, own in self.moved.items():
            if key.startswith(usual):
                return own + key.removeprefix(usual)
        return key

    def rule(self, rule: Rule) -> Rule:
        """A rule for such files, by the one for those of AudioLDM2."""
        return dataclasses.replace(rule, source=self.place(rule.source))


_CLAP_HOME, _T5_HOME = CLAP.removesuffix("model."), T5.removesuffix("model.")
_ONLY = "cond_stage_models.0."  # where the encoder lies if there is one
_FIRST = "cond_stage_model."  # likewise, in the first version

OF_AUDIOLDM2 = Kind("an AudioLDM2", AUDIOLDM2, JOINT + "cond_stage_models.", (CLAP, JOINT + "model.", T5))
OF_AUDIOLDM = Kind(
    "an AudioLDM of the first version",
    AUDIOLDM,
    _FIRST,
    (_FIRST + "model.",),
    {_CLAP_HOME: _FIRST},
    # `generate_sample` of audioldm 0.1.1, and of MusicLDM, runs within `ema_scope`; in audioldm2 that is commented out.
    weights="ema",
)
OF_CLAP_ALONE = Kind(
    "an AudioLDM of AudioLDM2's code, conditioned on CLAP alone",
    AUDIOLDM,
    _ONLY + "model.text_branch.",
    (_ONLY + "model.text_projection.",),
    {_CLAP_HOME: _ONLY},
)
OF_T5_ALONE = Kind(
    "an AudioLDM of AudioLDM2's code, conditioned on T5 alone",
    AUDIOLDM_T5,
    _ONLY + "model.encoder.",
    (_ONLY + "model.encoder.",),
    {_T5_HOME: _ONLY},
)
OF_SPEECH = Kind(
    "an AudioLDM2 for speech, with an encoder of phonemes",
    AUDIOLDM2_SPEECH,
    PHONEMES + "text_encoder.",
    (CLAP, JOINT + "model.", PHONEMES + "text_encoder."),
    used=(PHONEMES + "{rest}",),
)
KINDS = (OF_AUDIOLDM, OF_CLAP_ALONE, OF_T5_ALONE, OF_SPEECH, OF_AUDIOLDM2)
"""In the order in which a file is asked for their marks; one without any is taken for an AudioLDM2 that is damaged."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """One of the published checkpoints.

    Attributes:
        kind: how its file is laid out.
        transformers: after each resnet.
        depth: blocks in each transformer.
        width: channels of the UNet's first level, where that tells it from others of its kind.
        head_channels: channels of each head of attention, which no shape says.
        model_type: where it is another one than that of its kind.
    """

    kind: Kind
    transformers: int
    depth: int = 1
    width: int | None = None
    head_channels: int = HEAD_CHANNELS
    model_type: ModelType | None = None


VARIANTS: Mapping[str, Variant] = {
    "audioldm2-full": Variant(OF_AUDIOLDM2, 3),
    "audioldm2-music-665k": Variant(OF_AUDIOLDM2, 3),
    "audioldm2-full-large-1150k": Variant(OF_AUDIOLDM2, 4, 2),
    "audioldm2-speech-gigaspeech": Variant(OF_SPEECH, 2),
    "audioldm2-speech-ljspeech": Variant(OF_SPEECH, 2),
    "audioldm_48k": Variant(OF_CLAP_ALONE, 2),
    "audioldm_16k_crossattn_t5": Variant(OF_T5_ALONE, 2),
    "audioldm-s-full": Variant(OF_AUDIOLDM, 1, width=128),
    "audioldm-s-full-v2": Variant(OF_AUDIOLDM, 1, width=128),
    "audioldm-s-text-ft": Variant(OF_AUDIOLDM, 1, width=128),
    "audioldm-m-full": Variant(OF_AUDIOLDM, 1, width=192),
    "audioldm-m-text-ft": Variant(OF_AUDIOLDM, 1, width=192),
    "audioldm-l-full": Variant(OF_AUDIOLDM, 1, width=256, head_channels=64),
    "musicldm": Variant(OF_AUDIOLDM, 1, width=128, model_type=MUSICLDM),
}
"""The published checkpoints that can be read."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What a file is.

    Attributes:
        kind: how it is laid out.
        words: which of the published ones it may be, and why.
        model_type: of its model.
        head_channels: of its UNet's attention.
    """

    kind: Kind
    words: str
    model_type: ModelType
    head_channels: int


def find_kind(tensors: Tensors, source: str, variant: str | None) -> Found:
    """Find out what a file holds.

    Args:
        tensors: of the file.
        source: the file, for errors.
        variant: what it is said to be, or None.

    Raises:
        CheckpointError: when it holds no model that can be read, or another variant.
        ValueError: when the variant is unknown.
    """
    if variant is not None and variant not in VARIANTS:
        raise ValueError(f"variant = {variant!r}; expected one of {', '.join(VARIANTS)}")
    if not any(key.startswith(UNET) for key in tensors):
        raise CheckpointError(
            f"{source} is no checkpoint of AudioLDM2 as its authors publish it: no key begins with {UNET}; expected "
            f"one of {', '.join(VARIANTS)}"
        )
    kind = next((kind for kind in KINDS if any(key.startswith(kind.mark) for key in tensors)), OF_AUDIOLDM2)
    if variant is not None and VARIANTS[variant].kind is not kind:
        alike = [name for name, each in VARIANTS.items() if each.kind is kind]
        raise CheckpointError(
            f"{source} is not {variant}: it is {kind.described} (there are keys {kind.mark}*), and {variant} is "
            f"{VARIANTS[variant].kind.described}; expected {' or '.join(alike)}"
        )
    if missing := [prefix for prefix in kind.needed if not any(key.startswith(prefix) for key in tensors)]:
        raise CheckpointError(
            f"{source} is not a whole {kind.model_type.name}: no key begins with {' or '.join(missing)}; expected one "
            f"of {', '.join(VARIANTS)}"
        )
    shapes = Shapes(tensors, UNET, source)
    return _found(kind, _attention(shapes), channels_of(shapes)[0], source, variant)


def _found(kind: Kind, attention: tuple[int, int], width: int, source: str, variant: str | None) -> Found:
    """Compare the size of a UNet with those of the published ones of a kind."""
    transformers, depth = attention
    of_kind = {name: each for name, each in VARIANTS.items() if each.kind is kind}
    widths = {each.width for each in of_kind.values()}
    alike = [
        name
        for name, each in of_kind.items()
        if (each.transformers, each.depth) == attention and each.width in (None, width)
    ]
    layers = f"{transformers} transformer{'s' if transformers > 1 else ''} after each resnet"
    words = f"{layers}, of {depth} block{'s' if depth > 1 else ''} each"
    wide = f", {width} channels wide at first" if None not in widths else ""
    chosen = None if variant is None else VARIANTS[variant]
    if chosen is not None:
        is_other = (chosen.transformers, chosen.depth) != attention
        # A width of no published one may be that of a model of its own.
        if is_other or (chosen.width != width and width in widths):
            expected = f"{chosen.transformers} and {chosen.depth}" + (f", and {chosen.width}" if chosen.width else "")
            raise CheckpointError(
                f"{source} is not {variant}: its UNet has {words}{wide}; expected {expected}. It has the shape of "
                f"{' and '.join(alike) if alike else 'no published one'}"
            )
    named = chosen or (VARIANTS[alike[0]] if alike else Variant(kind, transformers, depth))
    article = f"an {kind.model_type.name} of its own"
    return Found(
        kind,
        f"{variant or ' or '.join(alike) or article} ({words}{wide})",
        (None if chosen is None else chosen.model_type) or kind.model_type,
        named.head_channels,
    )


def _attention(shapes: Shapes) -> tuple[int, int]:
    """Transformers after each resnet, and blocks in each transformer; those of the middle are those of all."""
    transformers = shapes.count("middle_block.{}.norm.weight", first=1)
    return transformers, shapes.count("middle_block.1.transformer_blocks.{}.norm1.weight")
