"""What is measured of a model, and what is kept of that."""
