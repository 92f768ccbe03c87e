"""Commands that are killed at random moments, and at each of the moments when something appears on the disk."""
