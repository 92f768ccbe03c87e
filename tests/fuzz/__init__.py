"""Files and command lines that are damaged at random, by seed: one documented error, or a right reading."""
