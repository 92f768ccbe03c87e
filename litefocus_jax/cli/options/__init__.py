"""The options of ``litefocus-jax generate`` by subject, each a type with its name and its help."""
