"""The command ``litefocus-jax``. Heavy imports wait until a command runs, so that ``--help`` is instant."""

import gc
import os
import sys
from typing import Annotated

import typer

from litefocus_jax.cli.attention_map import attention_map
from litefocus_jax.cli.batch import batch
from litefocus_jax.cli.bench import bench
from litefocus_jax.cli.console import configure_logging, logger
from litefocus_jax.cli.evaluate import evaluate
from litefocus_jax.cli.exchange import exchange
from litefocus_jax.cli.export import export
from litefocus_jax.cli.finetune import finetune
from litefocus_jax.cli.generate import generate
from litefocus_jax.cli.info import info
from litefocus_jax.cli.init import init
from litefocus_jax.cli.paper import paper
from litefocus_jax.cli.processes import leave_others
from litefocus_jax.cli.suggestions import SuggestingCommand
from litefocus_jax.cli.web import web
from litefocus_jax.system.interruption import exit_code, listening, was_interrupted

app = typer.Typer(
    name="litefocus-jax",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # joins the lines of a paragraph
    # Rich's tracebacks print the arrays they meet.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (generate, batch, info, init, export, finetune, evaluate, paper, attention_map, bench, exchange, web):
    app.command(cls=SuggestingCommand)(command)


# Imports and traces make objects by the hundred thousand, nearly all of which stay, and Python's collector looks
# through them again and again. Without this, and without what `main` does at its end, a start takes a second more of
# nine.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def _print_version(wanted: bool) -> None:
    if wanted:
        from litefocus_jax import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main_options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more, and tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Long sound from text: AudioLDM2 in JAX with LiteFocus sparse attention."""
    configure_logging(verbose)


def main() -> None:
    """Run the command line; the entry point of the installed script."""
    # Packages that training needs give the root logger a handler, which would say everything a second time.
    logger.propagate = False
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 20, 20)
    with listening():
        try:
            app()
        except SystemExit as ending:
            if was_interrupted() or ending.code == exit_code():
                # XLA's threads finish the step they are in, which may take long, and Python must not be torn down
                # under them: that crashes. Files are complete or absent at any time, so there is nothing left to clean
                # up.
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(exit_code())
            if ending.code:
                leave_others(ending.code if isinstance(ending.code, int) else 1)
            raise
        finally:
            gc.freeze()  # so that Python does not look through everything a last time before it ends
