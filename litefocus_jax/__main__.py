"""``python -m litefocus_jax``: the command line."""

from litefocus_jax.cli import main

if __name__ == "__main__":
    main()
