"""Sound files, their levels and finish, log-mel spectrograms, and pictures of them."""

from litefocus_jax.audio.finish import Finish as Finish
from litefocus_jax.audio.formats import PICTURE_FORMATS as PICTURE_FORMATS
from litefocus_jax.audio.formats import SOUND_FORMATS as SOUND_FORMATS
from litefocus_jax.audio.levels import SilenceWarning as SilenceWarning
from litefocus_jax.audio.levels import level_in_dbfs as level_in_dbfs
from litefocus_jax.audio.mel import hann_window as hann_window
from litefocus_jax.audio.mel import log_mel_spectrogram as log_mel_spectrogram
from litefocus_jax.audio.mel import mel_filters as mel_filters
from litefocus_jax.audio.picture import spectrogram_picture as spectrogram_picture
from litefocus_jax.audio.stages import FinishError as FinishError
from litefocus_jax.audio.tags import read_comment as read_comment
from litefocus_jax.audio.writable import check_picture_writable as check_picture_writable
from litefocus_jax.audio.writable import check_writable as check_writable
from litefocus_jax.audio.writing import save_audio as save_audio
from litefocus_jax.audio.writing import save_audio_blocks as save_audio_blocks
