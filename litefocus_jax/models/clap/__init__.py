"""CLAP: a space that text and sound share (Wu et al., arXiv 2211.06687)."""
