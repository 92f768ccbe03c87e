"""Run the authors' classes for speech on made-up weights: ``python authors_speech.py FOLDER EXPECTED``.

As `authors` is, beside which it lies: it imports nothing of ours, and loads state dictionaries strictly.
"""

# pyright: reportMissingImports=false

import sys
from pathlib import Path
from typing import Any

import authors
import numpy as np
import torch
from authors import CLAP_WIDTH, GPT2_WIDTH, below, find_authors, noise
from safetensors.torch import load_file

SPEECH = "audioldm2-speech-gigaspeech"
PHONEME_WIDTH, LONGEST, VECTORS = 48, 310, 512
SAID = ["h\u0259l\u02c8o\u028a, w\u02c8\u025c\u02d0ld!", "\u0261\u02c8\u028ad m\u02c8\u0254\u02d0n\u026a\u014b. " * 30]
KEPT = 48  # symbols whose states are kept
EVERY = 32  # vectors of which one is kept


def numbers() -> torch.Tensor:
    """What is said, as their `make_batch_for_text_to_audio` numbers it; the second text is too long."""
    from audioldm2.latent_diffusion.util import get_vits_phoneme_ids_no_padding

    return torch.cat([get_vits_phoneme_ids_no_padding([text])["phoneme_idx"] for text in SAID])


def phoneme_encoder(tensors: dict[str, torch.Tensor]) -> Any:
    from audioldm2.latent_diffusion.modules.encoders.modules import PhonemeEncoder
    from audioldm2.latent_diffusion.modules.phoneme_encoder.encoder import TextEncoder

    model: Any = PhonemeEncoder.__new__(PhonemeEncoder)
    torch.nn.Module.__init__(model)  # their constructor has the widths written out
    model.device, model.pad_token_id, model.PAD_LENGTH = None, 0, LONGEST
    model.pad_token_sequence = torch.zeros(LONGEST, dtype=torch.long)
    model.text_encoder = TextEncoder(
        n_vocab=183, out_channels=PHONEME_WIDTH, hidden_channels=PHONEME_WIDTH, filter_channels=4 * PHONEME_WIDTH
    )
    model.learnable_positional_embedding = torch.nn.Parameter(torch.zeros(1, PHONEME_WIDTH, LONGEST))
    model.load_state_dict(below(tensors, "cond_stage_models.0.cond_stage_models.1."))
    return model.eval()


def context(tensors: dict[str, torch.Tensor], states: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """What GPT-2 makes of a prompt's vector and of phonemes: 512 vectors, of which a few are kept."""
    from audioldm2.audiomae_gen.sequence_input import Sequence2AudioMAE
    from transformers import GPT2Config, GPT2Model

    model: Any = Sequence2AudioMAE.__new__(Sequence2AudioMAE)
    torch.nn.Module.__init__(model)
    model.mae_token_num = VECTORS
    model.sequence_input_key = ["film_clap_cond1", "crossattn_vits_phoneme"]
    model.start_of_sequence_tokens = torch.nn.Embedding(32, GPT2_WIDTH)
    model.end_of_sequence_tokens = torch.nn.Embedding(32, GPT2_WIDTH)
    model.input_sequence_embed_linear = torch.nn.ModuleList(
        torch.nn.Linear(width, GPT2_WIDTH) for width in (CLAP_WIDTH, PHONEME_WIDTH)
    )
    model.model = GPT2Model(GPT2Config(vocab_size=400, n_positions=1024, n_embd=GPT2_WIDTH, n_layer=2)).eval()
    state = below(tensors, "cond_stage_models.0.")
    model.load_state_dict({key: each for key, each in state.items() if not key.startswith("cond_stage_models.")})
    clap = noise(2, 1, CLAP_WIDTH, seed=6)
    vectors, _ = model.generate(None, {"film_clap_cond1": clap, "crossattn_vits_phoneme": states})
    return {"clap": clap, "vectors": vectors[:, ::EVERY], "last": vectors[:, -1:]}


def main() -> None:
    """Run every class, and write inputs and outputs by the name of the network."""
    folder, expected = map(Path, sys.argv[1:3])
    authors.ABSENT = authors.ABSENT | {"PIL"}
    find_authors()
    unused = "audioldm2.clap.training.data"  # downloads a tokenizer as it is imported
    sys.modules[unused] = authors.StandIn(unused)
    tensors = load_file(folder / f"{SPEECH}.safetensors")
    with torch.no_grad():
        ids = numbers()
        states, mask = phoneme_encoder(tensors)(ids)
        found = {
            "text_encoder_2": {"ids": ids, "mask": mask, "states": states[:, :KEPT]},
            "language_model": context(tensors, [states, mask]),
        }
    arrays = {f"{network}.{name}": each.numpy() for network, values in found.items() for name, each in values.items()}
    np.savez_compressed(expected, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
