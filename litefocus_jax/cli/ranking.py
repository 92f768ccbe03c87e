"""``litefocus-jax generate --rank``: the sounds of each prompt, best first."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import typer

from litefocus_jax.cli.console import messages, output

if TYPE_CHECKING:
    from litefocus_jax.checkpoint.opened import Checkpoint
    from litefocus_jax.cli.destinations import Destination
    from litefocus_jax.generation.recipe import Recipe
    from litefocus_jax.models.clap.joint import Clap

Show = Callable[["Destination", "Recipe | None"], None]
"""Prints the names of a sound's files."""


@dataclasses.dataclass
class Ranking:
    """The sounds of a command by prompt, each prompt's in the order of how well they fit it, by CLAP.

    Files keep the names of their waveforms, by which they are made again; the order is that in which they are printed.

    Attributes:
        clap: listens to the files, as they were finished, and reads the prompts.
        waiting: for each prompt, its files that are still to be made.
        made: for each prompt, what is there, with its recipe where that is known.
        earlier: files that were there before this command.
        quiet: whether scores are left out.
    """

    clap: "Clap"
    waiting: "list[set[Path]]"
    made: "Sequence[dict[Path, tuple[Destination, Recipe | None]]]"
    earlier: frozenset[Path] = frozenset()
    quiet: bool = False

    @classmethod
    def of(
        cls,
        clap: "Clap",
        files: "Sequence[Sequence[Destination]]",
        to_make: "Sequence[Destination]",
        *,
        quiet: bool = False,
    ) -> Self:
        """Begin with the files that are there already.

        Args:
            clap: of the ranking.
            files: of each prompt.
            to_make: those that the command is going to make.
            quiet: leave the scores out.
        """
        new = {file.sound for file in to_make}
        waiting = [{file.sound for file in row} & new for row in files]
        made: list[dict[Path, tuple[Destination, Recipe | None]]] = [
            {file.sound: (file, None) for file in row if file.sound not in new} for row in files
        ]
        return cls(clap, waiting, made, frozenset(path for row in made for path in row), quiet)

    def add(self, file: "Destination", recipe: "Recipe | None", show: Show) -> None:
        """Take in a sound that was made; when it was the last one of its prompt, listen to all and show them."""
        number = self._prompt_of(file)
        self.made[number][file.sound] = (file, recipe)
        self._no_longer_wait(number, file, show)

    def leave_out(self, file: "Destination", show: Show) -> None:
        """Wait no longer for a sound that could not be finished."""
        self._no_longer_wait(self._prompt_of(file), file, show)

    def show_waiting_for_none(self, show: Show) -> None:
        """Show the sounds of the prompts whose files were there already."""
        for number, waiting in enumerate(self.waiting):
            if not waiting:
                self._show(number, show)

    def _prompt_of(self, file: "Destination") -> int:
        return next(number for number, waiting in enumerate(self.waiting) if file.sound in waiting)

    def _no_longer_wait(self, number: int, file: "Destination", show: Show) -> None:
        self.waiting[number].remove(file.sound)
        if not self.waiting[number]:
            self._show(number, show)

    def _show(self, number: int, show: Show) -> None:
        from litefocus_jax.audio.reading import read_sound

        found = list(self.made[number].values())
        if not found:
            return
        text = self.clap.embed_captions([found[0][0].prompt])[0]
        rate = self.clap.sampling_rate
        scores = [float(self.clap.embed_sound(read_sound(file.sound, rate).waveform) @ text) for file, _ in found]
        for index in sorted(range(len(found)), key=lambda index: -scores[index]):
            file, recipe = found[index]
            if not self.quiet:
                messages.print(f"CLAP {scores[index]:.3f}: {file.sound.name}", markup=False)
            if file.sound in self.earlier:
                output.print(str(file.sound), markup=False)
            else:
                show(file, recipe)


def check_rank(rank: bool, clap: str | None, *, timeline: bool) -> None:
    """Refuse what has no meaning beside ``--rank``, or without it.

    Raises:
        typer.BadParameter: naming the option.
    """
    if clap is not None and not rank:
        raise typer.BadParameter("needs --rank, which listens with it", param_hint="--clap")
    if rank and timeline:
        raise typer.BadParameter(
            "compares sounds with one prompt; leave --timeline out, or take --no-rank", param_hint="--rank"
        )


def load_listener(checkpoint: "Checkpoint", clap: str | None) -> "Clap":
    """CLAP with its tower for sound: of the checkpoint that was named for it, or of the model itself.

    Raises:
        ValueError: when there is none that hears; the message says how to name one.
    """
    from litefocus_jax.checkpoint.clap import load_clap

    if clap is not None:
        return load_clap(clap)
    try:
        return load_clap(checkpoint.folder)
    except ValueError as error:
        raise ValueError(
            f"--rank: {error}. Name a checkpoint that has one with --clap, or take --no-rank, beside --sampling too"
        ) from error
