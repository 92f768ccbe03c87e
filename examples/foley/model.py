"""The shape of the bundled model: the parts of AudioLDM2, as small as 12 MB of weights ask for.

All that AudioLDM2 fixes is kept: 16 kHz, 64 mel bins, 160 samples from frame to frame, a VAE that shrinks both axes
four times, a UNet whose second to fourth levels have three transformers behind every resnet, of which the first attends
to the sound alone, the second to what GPT-2 generates and the third to T5.
"""

import math
import string
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.checkpoint.tokenizer_files import save_byte_pair_tokenizer, save_piece_tokenizer
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.clap.text import ClapTextConfig
from litefocus_jax.models.gpt2 import GPT2Config
from litefocus_jax.models.projection import ProjectionConfig
from litefocus_jax.models.t5 import T5Config
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.vae import VAEConfig
from litefocus_jax.models.vocoder import VocoderConfig
from litefocus_jax.system.json_config import JsonConfig

SAMPLING_RATE = 16000
HOP_LENGTH = 160
TRAINING_SECONDS = 2.56
TRAINING_FRAMES = 256
TRAINING_SAMPLES = TRAINING_FRAMES * HOP_LENGTH
LONGEST_PROMPT = 64  # tokens; the longest captions take about 40

_CLAP_TOKENS = 512
_T5_TOKENS = 640  # room for every word of the captions, and for single characters

VAE_CONFIG = VAEConfig(
    in_channels=1,
    out_channels=1,
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    block_out_channels=(16, 32, 48),
    layers_per_block=1,
    latent_channels=4,
    norm_num_groups=8,
    scaling_factor=1.0,  # measured once the VAE is trained
)
VOCODER_CONFIG = VocoderConfig(
    model_in_dim=64,
    sampling_rate=SAMPLING_RATE,
    upsample_initial_channel=192,
    upsample_rates=(5, 4, 8),  # few steps, so that 24 channels are left at the end of them
    upsample_kernel_sizes=(15, 8, 16),
    resblock_kernel_sizes=(3, 7),
    resblock_dilation_sizes=((1, 3), (1, 3)),
    normalize_before=False,
)
CLAP_CONFIG = ClapTextConfig(
    vocab_size=_CLAP_TOKENS,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    max_position_embeddings=LONGEST_PROMPT + 2,
    projection_dim=64,
)
T5_CONFIG = T5Config(
    vocab_size=_T5_TOKENS,
    d_model=64,
    d_kv=16,
    d_ff=128,
    num_layers=2,
    num_heads=4,
    relative_attention_num_buckets=16,
    relative_attention_max_distance=32,
    feed_forward_proj="gated-gelu",
)
GPT2_CONFIG = GPT2Config(
    vocab_size=8,  # never used: it continues vectors, not tokens
    n_positions=LONGEST_PROMPT + 16,
    n_embd=64,
    n_layer=2,
    n_head=4,
    max_new_tokens=8,
)
PROJECTION_CONFIG = ProjectionConfig(
    text_encoder_dim=CLAP_CONFIG.projection_dim,
    text_encoder_1_dim=T5_CONFIG.d_model,
    langauge_model_dim=GPT2_CONFIG.n_embd,
)
UNET_CONFIG = UNetConfig(
    sample_size=TRAINING_FRAMES // 4,
    in_channels=VAE_CONFIG.latent_channels,
    out_channels=VAE_CONFIG.latent_channels,
    down_block_types=("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 3,
    up_block_types=("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
    block_out_channels=(32, 48, 64, 64),
    layers_per_block=1,
    norm_num_groups=8,
    cross_attention_dim=((None, GPT2_CONFIG.n_embd, T5_CONFIG.d_model),) * 4,
    attention_head_dim=(1, 1, 2, 2),
)
CONFIGS: dict[str, JsonConfig] = {
    "unet": UNET_CONFIG,
    "vae": VAE_CONFIG,
    "vocoder": VOCODER_CONFIG,
    "text_encoder": CLAP_CONFIG,
    "text_encoder_2": T5_CONFIG,
    "language_model": GPT2_CONFIG,
    "projection_model": PROJECTION_CONFIG,
}


def scheduler_config() -> SchedulerConfig:
    """The published noise schedule, with a network that predicts the velocity (arXiv 2202.00512).

    Where there is hardly anything but noise, telling the noise says nothing about the sound; telling the velocity does.
    """
    return SchedulerConfig.from_dict(published_config("audioldm2", "scheduler") | {"prediction_type": "v_prediction"})


def save_tokenizers(captions: Iterable[str], folder: Path) -> tuple[Path, Path]:
    """Make both tokenizers from the words of captions; the same captions give the same files.

    CLAP's joins bytes into the captions' frequent words (byte-pair encoding). T5's has one token per word. Both fall
    back to single characters for words that they do not know.

    Args:
        captions: of the training sounds.
        folder: gets the folders ``tokenizer`` and ``tokenizer_2``.

    Returns:
        The two folders.

    Raises:
        ValueError: when the captions have more different words than T5's vocabulary has room for.
    """
    captions = list(captions)
    vocabulary, merges = _byte_pairs(captions)
    pieces = _pieces(captions)
    save_byte_pair_tokenizer(folder / "tokenizer", vocabulary, merges, model_max_length=LONGEST_PROMPT)
    save_piece_tokenizer(folder / "tokenizer_2", pieces, model_max_length=LONGEST_PROMPT)
    return folder / "tokenizer", folder / "tokenizer_2"


def _byte_pairs(captions: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    import json

    import tokenizers

    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=_CLAP_TOKENS - 1,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.train_from_iterator(captions, trainer)
    trained: dict[str, Any] = json.loads(model.to_str())["model"]
    vocabulary = trained["vocab"]
    vocabulary["<mask>"] = len(vocabulary)
    return vocabulary, [tuple(pair) for pair in trained["merges"]]


def _pieces(captions: list[str]) -> list[tuple[str, float]]:
    """T5's tokens with the logarithms of their shares, words before the characters they are made of."""
    counts = Counter(word for caption in captions for word in caption.split())
    total = sum(counts.values())
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    words = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    pieces += [(f"▁{word}", math.log(count / total)) for word, count in words]
    rarest = math.log(1 / total)
    characters = ["▁", *string.ascii_lowercase, *string.digits, *"'-,.!?"]
    pieces += [(character, 2.0 * rarest) for character in characters]
    if len(pieces) > _T5_TOKENS:
        raise ValueError(f"the captions have {len(words)} words; expected {_T5_TOKENS} tokens with all characters")
    return pieces
