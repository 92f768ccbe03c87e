"""The whole of it: ``python -m tests.kill --cases 500``."""

import os
import random
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer


def main(
    cases: Annotated[int, typer.Option(min=1, help="Number of kills.")] = 500,
    seed: Annotated[int, typer.Option(help="Seed of what is killed, when and how.")] = 0,
    first: Annotated[int, typer.Option(min=0, help="Number of the first case.")] = 0,
    command: Annotated[list[str] | None, typer.Option(help="Only these commands.")] = None,
) -> None:
    """Kill commands, run them again, and print every fault."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
            "LITEFOCUS_COMPILATION_CACHE": f"{scratch}/compiled",
        }
        # Imported once, here; JAX is started by none of these.
        import litefocus_jax.cli
        import litefocus_jax.pipeline  # noqa: F401
        from tests.kill.commands import COMMANDS
        from tests.kill.runner import Kills

        kills = Kills(Path(scratch).resolve())
        for number in range(first, first + cases):
            drawn = random.Random(f"{seed}/{number}")
            known = len(kills.faults)
            kills.case(drawn.choice(command or list(COMMANDS)), drawn, f"case {number}")
            print("\n".join(kills.faults[known:] or [f"{number + 1 - first} of {cases}"]), file=sys.stderr, flush=True)
        for outcome, count in sorted(kills.outcomes.items()):
            print(f"{count:6,} {outcome}")
        print("\n".join(kills.faults))
        print(f"{sum(kills.outcomes.values()):,} kills, {len(kills.faults)} faults")
        raise typer.Exit(1 if kills.faults else 0)


if __name__ == "__main__":
    typer.run(main)
