"""The whole of it: ``python -m tests.fuzz --cases 20000``."""

import subprocess
import sys
from collections import Counter
from typing import Annotated

import typer

_AT_A_TIME = 500  # cases in a process, whose death is noticed


def main(
    cases: Annotated[int, typer.Option(min=1, help="Number of damaged inputs.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the damage.")] = 0,
    first: Annotated[int, typer.Option(min=0, help="Number of the first case.")] = 0,
    kind: Annotated[list[str] | None, typer.Option(help="Only these kinds of input.")] = None,
    here: Annotated[bool, typer.Option("--here", help="In this process.")] = False,
) -> None:
    """Damage inputs at random and read them; print how many were read and refused, and every fault."""
    if here:
        from tests.fuzz.runner import run_cases

        found = run_cases(range(first, first + cases), seed, kind)
        for outcome, count in sorted(found.outcomes.items()):
            print(f"#{count} {outcome}")
        print("\n".join(found.faults))
        raise typer.Exit(1 if found.faults else 0)
    outcomes: Counter[str] = Counter()
    faults = []
    for start in range(first, first + cases, _AT_A_TIME):
        count = min(_AT_A_TIME, first + cases - start)
        command = [
            sys.executable,
            "-m",
            "tests.fuzz",
            "--here",
            f"--cases={count}",
            f"--first={start}",
            f"--seed={seed}",
        ]
        done = subprocess.run([*command, *(f"--kind={each}" for each in kind or ())], capture_output=True, text=True)
        for line in done.stdout.splitlines():
            if line.startswith("#"):
                number, _, outcome = line[1:].partition(" ")
                outcomes[outcome] += int(number)
            elif line:
                faults.append(line)
                print(line, flush=True)
        if done.returncode not in (0, 1):
            faults.append(f"cases {start} to {start + count - 1}: the process ended with {done.returncode}")
            print(faults[-1], done.stderr[-2000:], flush=True)
        print(f"{start + count - first} of {cases} cases, {len(faults)} faults", file=sys.stderr, flush=True)
    for outcome, number in sorted(outcomes.items()):
        print(f"{number:7,} {outcome}")
    print(f"{sum(outcomes.values()):,} cases, {len(faults)} faults")
    raise typer.Exit(1 if faults else 0)


if __name__ == "__main__":
    typer.run(main)
