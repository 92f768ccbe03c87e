"""All judges together, and those that the bundled model was measured by."""

import dataclasses
from pathlib import Path

from examples.foley.judges.clap import Clap, load_clap
from examples.foley.judges.classifier import Classifier, load_classifier
from examples.foley.parts.model import CLAP_CONFIG
from litefocus_jax.models.stored_tokenizers import load_tokenizer
from litefocus_jax.models.tokenization import Tokenizer

SHIPPED_JUDGES = Path(__file__).parent / "weights"
"""Classifier and CLAP of the run that made the bundled model."""


@dataclasses.dataclass(frozen=True)
class Judges:
    """What listens to the sounds; `tokenizer` is CLAP's."""

    classifier: Classifier
    clap: Clap
    tokenizer: Tokenizer

    @classmethod
    def load(cls, folder: Path, tokenizer: Path) -> "Judges":
        """The judges that were trained in a run's folder, or those of `SHIPPED_JUDGES`.

        Args:
            folder: holds the folders ``classifier`` and ``clap``.
            tokenizer: folder of CLAP's tokenizer.

        Raises:
            FileNotFoundError: when one of them is not there.
        """
        return cls(
            load_classifier(folder / "classifier"),
            load_clap(folder / "clap"),
            load_tokenizer(tokenizer, CLAP_CONFIG.vocab_size),
        )
