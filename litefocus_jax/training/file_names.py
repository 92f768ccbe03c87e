"""From the names in a table to the files of its folder: tables are written on other systems, and by hand."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

SOUND_SUFFIXES = frozenset(
    {".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".snd", ".w64", ".wav", ".wave"}
)
"""How the names of sound files end, in lower case."""


class OutsideFolderError(ValueError):
    """A name that leads out of the data folder."""


class NoFileError(ValueError):
    """A name that no file has, or more than one; the message goes on where the name ended."""


class FolderFiles:
    """The files of a data folder, found by the names that a table has for them.

    A name may have backslashes for slashes, differ in upper and lower case or in how Unicode writes its accents, or
    lack its suffix, as an identifier does, where that leaves one file that can be meant. The folder is looked through
    when the first name is not simply there.

    Args:
        folder: of the data.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = os.path.realpath(folder)
        self._alike: dict[str, list[Path]] | None = None

    def find(self, name: str) -> Path:
        """The file that a name means.

        Raises:
            OutsideFolderError: when it leads out of the folder, by itself or by a link.
            NoFileError: when there is no such file, or several could be meant.
        """
        if "\0" in name or ".." in PureWindowsPath(name).parts:  # parts at both kinds of slashes
            raise OutsideFolderError(name)
        slashed = name.replace("\\", "/")
        for written in dict.fromkeys((name, slashed)):
            path = self.folder / written
            if os.path.commonpath([self._root, os.path.realpath(path)]) != self._root:
                raise OutsideFolderError(name)
            if path.exists():
                return path
        found = self._files_alike().get(_key(slashed), [])
        if not found:
            raise NoFileError("does not exist")
        if len(found) > 1:
            raise NoFileError(f"could be any of {', '.join(str(path.relative_to(self.folder)) for path in found)}")
        if os.path.commonpath([self._root, os.path.realpath(found[0])]) != self._root:
            raise OutsideFolderError(name)
        return found[0]

    def _files_alike(self) -> dict[str, list[Path]]:
        """All files, by what their names have in common with other spellings, and sounds also without their suffix."""
        if self._alike is None:
            self._alike = defaultdict(list)
            for path in sorted(self._all_files()):
                name = path.relative_to(self.folder).as_posix()
                self._alike[_key(name)].append(path)
                if path.suffix.lower() in SOUND_SUFFIXES:
                    self._alike[_key(name[: -len(path.suffix)])].append(path)
        return self._alike

    def _all_files(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self.folder):
            yield from (Path(folder) / name for name in names)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().removeprefix("./")
