#!/bin/sh
# A text field that does not fit into a WAV file's two kilobytes is left out by libsndfile, without an error.
#
# Library: python-soundfile 0.14.0, with the libsndfile that comes with it.
# Guess before running: a long comment would be cut, or refused.
# What happens: the title and a comment of 2,040 bytes come back whole; with a comment of 2,100 bytes the title comes
# back and the comment is an empty text. Nothing is raised, and nothing is printed. FLAC and Ogg keep 100,000 bytes.
# For users of this project: the recipe of a sound is longer than that with a long prompt, so WAV files hold it in a
# chunk of their own.
#
# Seen output:
#   WAV 2040: title 5, comment 2040
#   WAV 2100: title 5, comment 0
#   FLAC 100000: title 5, comment 100000
#   OGG 100000: title 5, comment 100000
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.3.5
cat > "$folder/fields.py" <<'PYTHON'
import io

import numpy as np
import soundfile

for kind, length in (("WAV", 2040), ("WAV", 2100), ("FLAC", 100_000), ("OGG", 100_000)):
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 16000, 1, format=kind) as sound:
        sound.title = "t" * 5
        sound.comment = "c" * length
        sound.write(np.zeros(1000))
    file.seek(0)
    with soundfile.SoundFile(file) as sound:
        print(f"{kind} {length}: title {len(sound.title)}, comment {len(sound.comment)}")
PYTHON
"$folder/venv/bin/python" "$folder/fields.py" | tee "$folder/found"
cat > "$folder/expected" <<'TEXT'
WAV 2040: title 5, comment 2040
WAV 2100: title 5, comment 0
FLAC 100000: title 5, comment 100000
OGG 100000: title 5, comment 100000
TEXT
diff "$folder/expected" "$folder/found"
