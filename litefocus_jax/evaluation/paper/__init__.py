"""The tables of LiteFocus's paper (arXiv 2407.10468), run again with any model."""
