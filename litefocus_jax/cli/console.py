"""What the commands print, and how errors end them."""

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.text import Text

from litefocus_jax.system.interruption import exit_code, forget_last
from litefocus_jax.system.messages import plain

# Results go to standard output, one thing per line, and all the rest to standard error: a pipe gets the results alone.
output = Console(soft_wrap=True, highlight=False)
messages = Console(stderr=True, soft_wrap=True, highlight=False)

logger = logging.getLogger("litefocus_jax")


class UsageError(ValueError):
    """The command line does not say what its user means; the command ends with the exit code of usage errors, 2."""


_OUT_OF_MEMORY = (
    "out of memory; ask for shorter sound, fewer waveforms or a smaller batch, --windows swap, or --dtype bfloat16"
)


def configure_logging(verbose: bool) -> None:
    """Show the library's warnings, each once, or with ``verbose`` all it logs, beside the progress bars."""
    logging.getLogger("litefocus_jax.system").setLevel(logging.NOTSET)
    handler = RichHandler(console=messages, show_time=False, show_path=False)
    if not verbose:
        handler.addFilter(_Once())
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)


class _Once(logging.Filter):
    """Lets a message through once, however many batches it is true of."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        is_new = message not in self._seen
        self._seen.add(message)
        return is_new


def quieten() -> None:
    """For ``--quiet``: leave out warnings about what only costs time, such as a cache that cannot be written."""
    if not logger.isEnabledFor(logging.DEBUG):
        logging.getLogger("litefocus_jax.system").setLevel(logging.ERROR)


@contextlib.contextmanager
def reporting_errors(out_of_memory: str = _OUT_OF_MEMORY) -> Iterator[None]:
    """End the command as a user expects when the block fails.

    What a user can put right (`ValueError` and its kinds, `OSError`, memory that runs out) is one red message and exit
    code 1, or 2 for a `UsageError`; the traceback is logged for ``--verbose``. Ctrl-C and termination
    end with one line and the exit code 130 or 143. Anything else is a defect, and keeps its traceback.

    Args:
        out_of_memory: the message when memory runs out.
    """
    forget_last()
    try:
        yield
    except KeyboardInterrupt:
        messages.print("Interrupted.")
        raise typer.Exit(exit_code()) from None
    except (ValueError, OSError) as error:
        logger.debug("traceback", exc_info=True)
        _print_error(str(error))
        raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None
    except RuntimeError as error:
        # XLA has no class of its own for this.
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        logger.debug("traceback", exc_info=True)
        _print_error(out_of_memory)
        raise typer.Exit(1) from None


@contextlib.contextmanager
def naming_options(options: Mapping[str, str]) -> Iterator[None]:
    """Have errors of the library about an argument name the option that gave it.

    Args:
        options: of the command line, by the names of the library's arguments.

    Raises:
        ValueError: in the place of one that the block raises.
    """
    try:
        yield
    except ValueError as error:
        from litefocus_jax.audio.reading import UnusableSoundError

        # A message that begins with the name of a file; one that speaks of options already.
        if isinstance(error, UnusableSoundError | UsageError):
            raise
        argument = re.compile(rf"\b({'|'.join(map(re.escape, options))})\b(?= |$)")
        raise ValueError(argument.sub(lambda name: options[name[1]], str(error))) from error


def _print_error(message: str) -> None:
    # Text, since messages hold brackets that rich would take for markup.
    messages.print(Text(f"error: {plain(message)}", style="red"))
