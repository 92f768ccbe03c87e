"""Write names, shapes and types of the tensors of an ``audioldm-s-full`` file: ``python first_keys.py KEYS.txt.gz``.

They are those of the state dictionary of the authors' ``LatentDiffusion`` (PyPI audioldm 0.1.1), built from their
default configuration. This file imports nothing of ours either.
"""

# pyright: reportMissingImports=false

import gzip
import importlib.machinery
import sys
import types
from pathlib import Path
from typing import Any

import authors
import numpy as np
import transformers

ROBERTA_BASE = {
    "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
}  # fmt: skip


def stand_in_for_librosa() -> types.ModuleType:
    """What torchlibrosa asks of librosa to make the constants of a spectrogram: of the right shapes."""
    librosa = types.ModuleType("librosa")
    librosa.__spec__ = importlib.machinery.ModuleSpec("librosa", None)
    filters: Any = types.ModuleType("librosa.filters")
    filters.get_window = lambda window, length, **others: np.zeros(length, np.float32)
    filters.mel = lambda n_fft, n_mels, **others: np.zeros((n_mels, n_fft // 2 + 1), np.float32)
    util: Any = types.ModuleType("librosa.util")
    util.pad_center = lambda window, size, **others: np.zeros(size, np.float32)
    librosa.filters, librosa.util = filters, util  # type: ignore[attr-defined]
    return librosa


def main() -> None:
    """Build the model without its downloads, and write its keys."""
    authors.ABSENT = (authors.ABSENT - {"librosa"}) | {"gradio", "omegaconf", "pandas", "resampy", "yaml"}
    librosa: Any = stand_in_for_librosa()
    sys.modules |= {"librosa": librosa, "librosa.filters": librosa.filters, "librosa.util": librosa.util}
    authors.find_authors("audioldm")
    roberta = transformers.RobertaConfig(**ROBERTA_BASE)
    downloads: dict[Any, Any] = {transformers.RobertaModel: lambda *names: transformers.RobertaModel(roberta)}
    downloads |= dict.fromkeys((transformers.RobertaTokenizer, transformers.BertTokenizer), lambda *names: None)
    if bart := getattr(transformers, "BartTokenizer", None):
        downloads[bart] = lambda *names: None
    for kind, build in downloads.items():
        kind.from_pretrained = staticmethod(build)

    from audioldm.ldm import LatentDiffusion
    from audioldm.utils import default_audioldm_config

    config: Any = default_audioldm_config("audioldm-s-full")
    model = LatentDiffusion(**config["model"]["params"] | {"device": "cpu"})
    assert model.use_ema, "their sampler would take the weights as they were trained last"
    state = model.state_dict()
    rows = [f"{key}\t{tuple(each.shape)}\t{str(each.dtype).removeprefix('torch.')}\n" for key, each in state.items()]
    Path(sys.argv[1]).write_bytes(gzip.compress("".join(rows).encode(), mtime=0))


if __name__ == "__main__":
    main()
