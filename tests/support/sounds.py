"""Small folders of captioned sounds."""

import json
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000


def tone(seconds: float, *, hertz: float = 440.0, rate: int = RATE) -> np.ndarray:
    """A sine at half of full scale, float32 ``[samples]``."""
    return (0.5 * np.sin(2.0 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_sound(path: Path, waveform: np.ndarray, *, rate: int = RATE, subtype: str = "FLOAT") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, rate, subtype=subtype)


def write_metadata(folder: Path, /, **captions: str) -> None:
    """``metadata.jsonl`` with a WAV file's name without its suffix for each keyword."""
    rows = [json.dumps({"file_name": f"{name}.wav", "text": caption}) for name, caption in captions.items()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def sound_folder(folder: Path) -> Path:
    """Three sounds of 0.4, 1 and 2 seconds, the last one in stereo at 44.1 kHz."""
    write_sound(folder / "short.wav", tone(0.4))
    write_sound(folder / "middle.wav", tone(1.0, hertz=880.0))
    write_sound(folder / "stereo.wav", np.stack([tone(2.0, rate=44100), 0.2 * tone(2.0, rate=44100)], 1), rate=44100)
    write_metadata(folder, short="a short low tone", middle="a high tone", stereo="a low tone")
    return folder
