"""Write the made-up checkpoints for the authors' classes: ``python -m tests.parity.original.tensors FOLDER``."""

import sys
from pathlib import Path

import numpy as np

from litefocus_jax.checkpoint import safetensors_files
from tests.support.originals import FIRST, FULL, LARGE, OF_48K, OF_T5, SPEECH, small

USED = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model")


def main() -> None:
    """Write a file of safetensors for each size, of the tensors that are computed with."""
    folder = Path(sys.argv[1])
    for name in (FULL, LARGE, FIRST, OF_48K, OF_T5, SPEECH):
        used = {key: np.asarray(tensor) for key, tensor in small(name).items() if key.startswith(USED)}
        safetensors_files.write_file(folder / f"{name}.safetensors", used)


if __name__ == "__main__":
    main()
