"""The parts of the model and how each of them is trained."""
