"""Options of several processes that do one thing together, and of several devices."""

from typing import Annotated, Literal

import typer

PANEL = "Several devices and hosts"

Mesh = Annotated[
    str | None,
    typer.Option(
        "--mesh",
        metavar="DATAxTIME",
        help="Spread the sounds of a batch over DATA groups of devices, and the frames of each over TIME devices, such "
        "as 2x4; or 1x2x4, with the prompt on one half and the negative prompt on the other. One device unless given, "
        "or with several processes all of them, laid out by the number of sounds.",
        rich_help_panel=PANEL,
    ),
]
Distributed = Annotated[
    bool,
    typer.Option(
        "--distributed",
        help="Join the processes of a launcher that JAX knows: SLURM, Open MPI, Kubernetes, Cloud TPU "
        "(docs/devices.md).",
        rich_help_panel=PANEL,
    ),
]
Coordinator = Annotated[
    str | None,
    typer.Option(
        "--coordinator",
        metavar="HOST:PORT",
        help="Join without a launcher: where process 0 can be reached.",
        rich_help_panel=PANEL,
    ),
]
ProcessId = Annotated[
    int | None,
    typer.Option("--process-id", help="Number of this process, from 0, for --coordinator.", rich_help_panel=PANEL),
]
NumProcesses = Annotated[
    int | None,
    typer.Option("--num-processes", help="Number of all processes, for --coordinator.", rich_help_panel=PANEL),
]
JoinTimeout = Annotated[
    int,
    typer.Option(
        "--join-timeout",
        metavar="SECONDS",
        min=1,
        max=86_400,
        help="How long to wait for the other processes.",
        rich_help_panel=PANEL,
    ),
]
Shard = Annotated[
    Literal["none", "fsdp"],
    typer.Option(
        "--shard",
        help="What each device holds: all weights, with their average and moments; or, fully sharded, its share of "
        "them alone, which are put together where they are needed: less memory, more exchange.",
        rich_help_panel=PANEL,
    ),
]
Writer = Annotated[
    Literal["first", "each"],
    typer.Option(
        "--writer",
        help="Which process writes the files: the first one all of them; or each its own share of the sounds, to a "
        "folder of its host.",
        rich_help_panel=PANEL,
    ),
]
