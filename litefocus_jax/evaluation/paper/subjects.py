"""What sounds are made of, and what they are compared with: captions, and recordings of each length or of one."""

import dataclasses
from pathlib import Path

from litefocus_jax.evaluation.captions import captions_of, read_captions
from litefocus_jax.evaluation.features import MetricError
from litefocus_jax.evaluation.sounds import SoundFolder, open_sounds
from litefocus_jax.system.same_run import digest

CAPTIONS = "captions.csv"
"""The table in a folder of recordings that is taken where none is given."""


@dataclasses.dataclass(frozen=True)
class Subjects:
    """The captions of a run, and its recordings.

    Attributes:
        names: of the sounds, one for each caption.
        captions: as many texts.
        recordings: by the length that they are for, in training lengths; those of None are for all other lengths.
    """

    names: tuple[str, ...]
    captions: tuple[str, ...]
    recordings: dict[int | None, SoundFolder]

    def recordings_at(self, length: int) -> SoundFolder | None:
        """What sounds of a length are compared with, or None where there is nothing."""
        return self.recordings.get(length, self.recordings.get(None))

    @property
    def digest(self) -> str:
        """By which the same captions, and names of sounds, are known again."""
        return digest(*(text.encode() for text in (*self.names, *self.captions)))


def subjects_of(captions: Path | None, reference: Path | None, lengths: tuple[int, ...], count: int) -> Subjects:
    """Read captions and recordings, and take as many as are wanted.

    Args:
        captions: CSV in our layout or in AudioCaps'; unless given, that of the folder of recordings.
        reference: a folder of recordings, which serve every length; or one with a folder for each, ``1x``, ``2x``; or
            None, so that there is nothing to compare with.
        lengths: in training lengths.
        count: how many sounds there are to be of each kind.

    Raises:
        MetricError: when captions and recordings do not fit, or there are too few; the message names them.
        OSError: when one cannot be read.
    """
    if reference is None:
        if captions is None:
            raise MetricError("there are no captions; give a table (--captions) or recordings with one (--reference)")
        texts = read_captions(captions)
        _check_enough(len(texts), count, str(captions))
        return Subjects(tuple(f"{number:04}" for number in range(count)), tuple(texts[:count]), {})
    table = captions or reference / CAPTIONS
    recordings: dict[int | None, SoundFolder] = {}
    if any((reference / f"{length}x").is_dir() for length in lengths):
        for length in lengths:
            recordings[length] = open_sounds(reference / f"{length}x")
    else:
        recordings[None] = open_sounds(reference)
    first = next(iter(recordings.values()))
    known = captions_of(table, first.sounds)
    for folder in recordings.values():
        if folder.sounds.keys() != first.sounds.keys():
            raise MetricError(f"{folder.folder} and {first.folder} hold sounds of other names; expected the same ones")
    _check_enough(len(known), count, str(reference))
    names = tuple(known)[:count]
    taken: dict[int | None, SoundFolder] = {
        length: SoundFolder(folder.folder, {name: folder.sounds[name] for name in names})
        for length, folder in recordings.items()
    }
    return Subjects(names, tuple(known[name] for name in names), taken)


def _check_enough(found: int, count: int, where: str) -> None:
    if found < count:
        raise MetricError(
            f"{where} has {found} captions, for {count} sounds: each seed takes others (--sounds times --seeds). Give "
            "more captions, or ask for fewer"
        )
