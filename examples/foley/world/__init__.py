"""The synthetic world: kinds of sound, scenes of them, what they are called, and clips on disk."""
