# The public names, each written once: type checkers read them here, and __init__.py loads them from here on first use.

from litefocus_jax.audio import Finish as Finish
from litefocus_jax.audio import FinishError as FinishError
from litefocus_jax.audio import SilenceWarning as SilenceWarning
from litefocus_jax.audio import log_mel_spectrogram as log_mel_spectrogram
from litefocus_jax.audio import save_audio as save_audio
from litefocus_jax.audio import save_audio_blocks as save_audio_blocks
from litefocus_jax.audio import spectrogram_picture as spectrogram_picture
from litefocus_jax.checkpoint.clap import load_clap as load_clap
from litefocus_jax.checkpoint.diffusers import save_diffusers as save_diffusers
from litefocus_jax.checkpoint.errors import CheckpointError as CheckpointError
from litefocus_jax.checkpoint.lora import LoraConfig as LoraConfig
from litefocus_jax.checkpoint.native import save_native as save_native
from litefocus_jax.checkpoint.store import load_components as load_components
from litefocus_jax.decoding.plan import TilingConfig as TilingConfig
from litefocus_jax.diffusion.windows import WindowedDenoising as WindowedDenoising
from litefocus_jax.generation.callbacks import StopGeneration as StopGeneration
from litefocus_jax.generation.embeddings import PromptEmbeddings as PromptEmbeddings
from litefocus_jax.generation.needs import InsufficientMemoryError as InsufficientMemoryError
from litefocus_jax.generation.output import AudioPipelineOutput as AudioPipelineOutput
from litefocus_jax.generation.recipe import Recipe as Recipe
from litefocus_jax.generation.recipe import RecipeError as RecipeError
from litefocus_jax.generation.recipe_files import read_recipe as read_recipe
from litefocus_jax.generation.recipe_files import write_recipe as write_recipe
from litefocus_jax.generation.request import Request as Request
from litefocus_jax.generation.resume import PartialRun as PartialRun
from litefocus_jax.generation.resume import ResumeError as ResumeError
from litefocus_jax.ops.litefocus.attention import litefocus_attention as litefocus_attention
from litefocus_jax.ops.litefocus.layout import AttentionLayout as AttentionLayout
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig as LiteFocusConfig
from litefocus_jax.ops.token_merging import TokenMerging as TokenMerging
from litefocus_jax.pipeline import AudioLDM2Pipeline as AudioLDM2Pipeline
from litefocus_jax.system.extras import MissingExtraError as MissingExtraError
from litefocus_jax.system.json_config import ConfigError as ConfigError
from litefocus_jax.system.waiting import NonFiniteError as NonFiniteError
from litefocus_jax.training.batches import AudioBatches as AudioBatches
from litefocus_jax.training.checkpoints import SavingError as SavingError
from litefocus_jax.training.config import TrainingConfig as TrainingConfig
from litefocus_jax.training.data import open_dataset as open_dataset
from litefocus_jax.training.loop import NonFiniteLossError as NonFiniteLossError
from litefocus_jax.training.loop import train as train
from litefocus_jax.training.monitoring import Monitoring as Monitoring
from litefocus_jax.training.updates import TrainingInterrupted as TrainingInterrupted

__version__: str
