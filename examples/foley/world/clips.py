"""What every clip of the synthetic world is like: its rate, its length, and the frames of its log-mel spectrogram."""

SAMPLING_RATE = 16000
HOP_LENGTH = 160
NUM_MELS = 64
TRAINING_SECONDS = 2.56
TRAINING_FRAMES = 256
TRAINING_SAMPLES = TRAINING_FRAMES * HOP_LENGTH
