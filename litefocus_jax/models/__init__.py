"""The sub-models of AudioLDM2 as Flax NNX modules.

Sound is laid out ``[batch, time, frequency, channel]`` throughout. A module computes in the dtype of its weights and
inputs; normalisation statistics and softmax are always float32. Modules are pytrees and go through plain `jax.jit`.
"""
