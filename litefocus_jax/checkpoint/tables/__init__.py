"""The key tables of every sub-model: PyTorch names on the left, ours on the right."""
