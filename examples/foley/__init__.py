"""The recipe of the bundled model: a synthetic world of sounds and captions, and what is trained and measured on it."""
