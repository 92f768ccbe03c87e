"""Measurements that users can repeat on their own machine: ``litefocus-jax bench``."""
