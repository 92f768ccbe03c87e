"""The mathematics of noise, for sampling and for training."""
