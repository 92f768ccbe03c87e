"""Parity tests run where PyTorch is installed, and are not collected elsewhere."""

import importlib.util

if importlib.util.find_spec("torch") is None or importlib.util.find_spec("diffusers") is None:
    collect_ignore_glob = ["test_*.py"]
