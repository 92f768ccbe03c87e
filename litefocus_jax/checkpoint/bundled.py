"""The small model that comes with the package."""

from pathlib import Path

BUNDLED_MODEL = "foley"
"""What the bundled model is called where a checkpoint is asked for."""

FOLDER = Path(__file__).parents[1] / "assets" / BUNDLED_MODEL
"""Where it lies, in the native format; its model card, ``MODEL_CARD.md``, beside it."""
