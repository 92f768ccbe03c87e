#!/usr/bin/env bash
# Runs the authors' classes (PyPI audioldm2 0.1.0 and audioldm 0.1.1, LiteFocus aa4f489) on made-up weights, and writes
# what they compute to expected.npz, expected_family.npz and expected_speech.npz; before that, the names of the tensors of
# an AudioLDM.
#
#     tests/parity/original/make.sh FOLDER      FOLDER gets an environment of its own and the weights
#
# The packages come without their dependencies: the classes need few of them, and no longer run on some. With the
# transformers that audioldm2 0.1.0 asks for they compute the same, within 2e-5 of the standard deviation:
#
#     FOLDER/venv/bin/pip install --target FOLDER/older --no-deps transformers==4.30.2 tokenizers==0.13.3 \
#         huggingface_hub==0.16.4
#     PYTHONPATH=FOLDER/older FOLDER/venv/bin/python tests/parity/original/authors.py FOLDER elsewhere.npz
set -euo pipefail
cd "$(dirname "$0")/../../.."
folder=$(realpath -m "${1:?the folder of the environment}")
here=tests/parity/original

mkdir -p "$folder"
if [[ ! -x $folder/venv/bin/python ]]; then
    "${PYTHON:-python3}" -m venv "$folder/venv"
    "$folder/venv/bin/pip" install -q --no-deps audioldm2==0.1.0 audioldm==0.1.1
    "$folder/venv/bin/pip" install -q --extra-index-url https://download.pytorch.org/whl/cpu -r $here/requirements.txt
fi
litefocus=https://raw.githubusercontent.com/Yuanshi9815/LiteFocus/aa4f4896f28c9a1a50ff1dd834dee026060f9405/litefocus
[[ -f $folder/litefocus_base.py ]] || curl -fsSL "$litefocus/litefocus_base.py" -o "$folder/litefocus_base.py"
"$folder/venv/bin/python" $here/first_keys.py tests/support/original_keys/keys_audioldm-s-full.txt.gz
"${OURS:-python}" -m tests.parity.original.tensors "$folder"
"$folder/venv/bin/python" $here/authors.py "$folder" $here/expected.npz
"$folder/venv/bin/python" $here/authors_speech.py "$folder" $here/expected_speech.npz
"$folder/venv/bin/python" $here/authors_family.py "$folder" $here/expected_family.npz
