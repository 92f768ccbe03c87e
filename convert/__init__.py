"""Convert a PyTorch checkpoint of AudioLDM2 to the native format: ``python -m convert SRC DST``.

Run once, from a clone of the repository; the only part of the project that needs PyTorch, and only for pickles.
"""
