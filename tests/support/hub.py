"""A hub that only remembers what it is given."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any


class Hub:
    """Stands in for ``huggingface_hub.HfApi``.

    Attributes:
        files: names of what was uploaded, with their content.
        repositories: names of those that were made.
    """

    def __init__(self, card_data: Any = None) -> None:
        self.card_data = card_data
        self.files: dict[str, bytes] = {}
        self.repositories: list[str] = []

    def model_info(self, repo_id: str, *, revision: str | None = None) -> Any:
        return SimpleNamespace(card_data=self.card_data)

    def create_repo(self, repo_id: str, *, exist_ok: bool) -> str:
        self.repositories.append(repo_id)
        return f"https://huggingface.co/{repo_id}"

    def upload_file(self, *, path_or_fileobj: bytes, path_in_repo: str, **_: Any) -> None:
        self.files[path_in_repo] = path_or_fileobj

    def upload_folder(self, *, folder_path: Path, **_: Any) -> None:
        self.files |= {path.name: path.read_bytes() for path in folder_path.iterdir()}

    def whoami(self) -> dict[str, str]:
        return {"name": "jane"}
