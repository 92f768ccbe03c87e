"""Which device holds what; knows no network."""
