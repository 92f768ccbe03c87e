"""The page: ``litefocus-jax web``. Gradio draws it; all else is the pipeline's."""
