#!/bin/sh
# The kernel audio distance of kadtk, which is unbiased, is far below zero for sets of few pairs.
#
# Library: kadtk 1.1.0 (only its file kad.py is used), torch 2.13.0, numpy 2.4.6.
# Guess before running: a set's distance from itself is 0, and from noisy copies of its members about that of two sets of
# the same world, which is as often above 0 as below.
# What happens: the estimate leaves out what compares a member with itself within each set, and not what compares it with
# its copy across the two. n of the n x n pairs across are nearer than the rest, so that the distance is too low by a
# share of 1 in n. Sounds made from the captions of their reference are such pairs. For 12 of them that is more than
# most differences that are reported between models.
# For users of this project: litefocus_jax.evaluation.kernel_distance has paired=True, which leaves these pairs out
# (Gretton et al. 2012, equation 4), and reports have both.
#
# Seen output, means of 200 draws, 100 times the squared distance:
#   12 sounds: itself -6.6, noisy copies -4.9, another draw within 0.3 of 0
#   192 sounds: itself -0.4, noisy copies -0.3, another draw within 0.3 of 0
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/pip" install --quiet --no-deps kadtk==1.1.0
cat > "$folder/pairs.py" <<'PYTHON'
import importlib.util
import sys
import types
from pathlib import Path

import numpy
import torch

# The file names its package's loaders of embeddings, which want much else and are not called here.
for name in ("hypy_utils", "hypy_utils.tqdm_utils", "kadtk", "kadtk.emb_loader", "kadtk.model_loader"):
    sys.modules[name] = module = types.ModuleType(name)
    for member in ("write", "tmap", "tq", "EmbeddingLoader", "ModelLoader"):
        setattr(module, member, object)
path = Path(sys.prefix, "lib", f"python3.{sys.version_info[1]}", "site-packages", "kadtk", "kad.py")
spec = importlib.util.spec_from_file_location("kad", path)
kad = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kad)


def distance(sounds, reference):
    sets = (torch.tensor(each, dtype=torch.float32) for each in (sounds, reference))
    return float(kad.calc_kernel_audio_distance(*sets, (None, None), "cpu"))


generator = numpy.random.default_rng(0)
for count in (12, 192):
    found = []
    for _ in range(200):
        reference, other = generator.standard_normal((2, count, 16))
        found.append([distance(each, reference) for each in (reference, 0.8 * reference + 0.6 * other, other)])
    itself, copies, draw = numpy.mean(found, axis=0)
    near = "within 0.3 of 0" if abs(draw) < 0.3 else f"{draw:.1f}"
    print(f"{count} sounds: itself {itself:.1f}, noisy copies {copies:.1f}, another draw {near}")
PYTHON
"$folder/venv/bin/python" "$folder/pairs.py" | tee "$folder/found"
cat > "$folder/expected" <<'TEXT'
12 sounds: itself -6.6, noisy copies -4.9, another draw within 0.3 of 0
192 sounds: itself -0.4, noisy copies -0.3, another draw within 0.3 of 0
TEXT
diff "$folder/expected" "$folder/found"
