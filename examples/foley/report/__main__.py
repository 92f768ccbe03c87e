"""``python -m examples.foley.report`` writes the model card."""

import typer

from examples.foley.report.card import main

typer.run(main)
