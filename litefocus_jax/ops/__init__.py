"""Arrays in, arrays out: attention, convolutions and the loops they are made of; no Flax, no model."""
