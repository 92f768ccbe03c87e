"""What the paper's tables compare."""

import dataclasses
from types import MappingProxyType
from typing import Any

from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.ops.token_merging import TokenMerging

RATIOS = (1.0, 0.8, 0.6, 0.4, 0.2)
"""Shares of the tokens that are drawn in table 2."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """One kind of attention.

    Attributes:
        name: as the tables call it.
        litefocus: as of `litefocus_jax.generation.options.RequestOptions`.
        token_merging: likewise.
    """

    name: str
    litefocus: LiteFocusConfig | None = None
    token_merging: TokenMerging | None = None

    @property
    def folder(self) -> str:
        """Its name as that of a folder."""
        return self.name.lower().replace(",", "").replace(" = ", "").replace(" ", "-")

    @property
    def options(self) -> dict[str, Any]:
        """The options of a request that ask for it."""
        return {"litefocus": self.litefocus, "token_merging": self.token_merging}


ORIGINAL = Variant("original")
LITEFOCUS = Variant("LiteFocus", LiteFocusConfig())
SAME_FREQUENCY = Variant("same frequency alone", LiteFocusConfig(cross_frequency=False))

TABLES = MappingProxyType(
    {
        1: (ORIGINAL, LITEFOCUS, Variant("Token Merging", token_merging=TokenMerging())),
        2: (
            ORIGINAL,
            *(
                Variant(
                    f"cross frequency alone, r = {ratio:g}", LiteFocusConfig(same_frequency=False, sparse_ratio=ratio)
                )
                for ratio in RATIOS
            ),
        ),
        3: (ORIGINAL, LITEFOCUS, SAME_FREQUENCY),
    }
)
"""The variants of each table; those that several share are made once."""

ALL_VARIANTS = tuple(dict.fromkeys(variant for variants in TABLES.values() for variant in variants))
"""All of them, each once, the original first."""

TITLES = MappingProxyType(
    {
        1: "original, LiteFocus and Token Merging",
        2: "cross-frequency compensation alone, by the share of tokens drawn",
        3: "same-frequency focus alone",
    }
)


def variants_of(tables: tuple[int, ...]) -> tuple[Variant, ...]:
    """The variants of some tables, each once."""
    return tuple(dict.fromkeys(variant for table in tables for variant in TABLES[table]))
