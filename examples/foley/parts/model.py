"""The shape of the bundled model: the parts of AudioLDM2, as small as 12 MB of weights ask for.

All that AudioLDM2 fixes is kept: 16 kHz, 64 mel bins, 160 samples from frame to frame, a VAE that shrinks both axes
four times, a UNet whose second to fourth levels have three transformers behind every resnet, of which the first attends
to the sound alone, the second to what GPT-2 generates and the third to T5.
"""

from examples.foley.world.clips import NUM_MELS, SAMPLING_RATE, TRAINING_FRAMES
from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.clap.text import ClapTextConfig
from litefocus_jax.models.generation_defaults import GenerationDefaults, Sampling
from litefocus_jax.models.gpt2 import GPT2Config
from litefocus_jax.models.projection import ProjectionConfig
from litefocus_jax.models.t5 import T5Config
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.vae import VAEConfig
from litefocus_jax.models.vocoder import VocoderConfig
from litefocus_jax.ops.litefocus.settings import FromLength
from litefocus_jax.system.json_config import JsonConfig

LONGEST_PROMPT = 64  # tokens; the longest captions take about 40

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
    model_in_dim=NUM_MELS,
    sampling_rate=SAMPLING_RATE,
    upsample_initial_channel=192,
    upsample_rates=(5, 4, 8),  # few steps, so that 24 channels are left at the end of them
    upsample_kernel_sizes=(15, 8, 16),
    resblock_kernel_sizes=(3, 7),
    resblock_dilation_sizes=((1, 3), (1, 3)),
    normalize_before=False,
    mel_corrections=2,  # TRAINING.md says what they bring
)
CLAP_CONFIG = ClapTextConfig(
    vocab_size=512,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    max_position_embeddings=LONGEST_PROMPT + 2,
    projection_dim=64,
)
T5_CONFIG = T5Config(
    vocab_size=768,  # room for every word of the captions and of what people type, and for single characters
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
# What examples/foley/measure/presets.py measured. Every prompt is encoded as if alone, as nearly all were in training,
# whose batches are of like length. Where attention is sparse is what docs/paper.md found. What the UNet draws so softly
# that it could not be heard is made louder: some alarms and zaps.
GENERATION_DEFAULTS = GenerationDefaults(
    scheduler="dpm++",
    num_inference_steps=25,
    timestep_spacing="trailing",
    prompt_padding="alone",
    litefocus_by_length=(FromLength(6.0, "cross_frequency", 0.2), FromLength(12.0, "linear")),
    least_level_in_dbfs=-38.0,
    fast=Sampling("dpm++", 12, "trailing"),
    good=Sampling("dpm++", 25, "trailing"),
    reference=Sampling("ddim", 250, "trailing"),
)


def scheduler_config() -> SchedulerConfig:
    """The published noise schedule, with a network that predicts the velocity (arXiv 2202.00512).

    Where there is hardly anything but noise, telling the noise says nothing about the sound; telling the velocity does.
    """
    return SchedulerConfig.from_dict(published_config("audioldm2", "scheduler") | {"prediction_type": "v_prediction"})
