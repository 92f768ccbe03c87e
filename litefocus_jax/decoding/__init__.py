"""Long sounds are decoded in tiles: latents to log-mel spectrogram to sound, in memory that does not grow with them.

`plan_decoding` cuts a sound into tiles, `sound_blocks` decodes it block by block, and `mel_error` says how far the
tiles lie from the whole. `lower_programs` gives the programs themselves.
"""

from litefocus_jax.decoding.comparison import MelError, mel_error
from litefocus_jax.decoding.plan import DecodingPlan, TilingConfig, plan_decoding
from litefocus_jax.decoding.programs import lower_programs
from litefocus_jax.decoding.sound import sound_blocks

__all__ = ["DecodingPlan", "MelError", "TilingConfig", "lower_programs", "mel_error", "plan_decoding", "sound_blocks"]
