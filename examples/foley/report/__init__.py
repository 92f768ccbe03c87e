"""The model card, and other tables and pictures of what was measured."""
