#!/bin/sh
# jaxtyping's Float[ArrayLike, ...] cannot be written with numpy's ArrayLike from numpy 2.5 on.
#
# Library: jaxtyping 0.3.11 with numpy 2.5.1 and numpy 2.4.6, on Python 3.12 or later, which numpy 2.5 asks for.
# Guess before running: numpy.typing.ArrayLike is a union, and jaxtyping takes unions apart, so that both are the same.
# What happens: with numpy 2.4 it is a union, and taken. With numpy 2.5 it is an alias of the type statement, whose
# members typing.get_args does not see; jaxtyping takes it for a class and raises TypeError while the module is imported.
# jax.typing.ArrayLike is not concerned.
# For users of this project: its metrics could not be imported on Python 3.12 and later, whereas Python 3.11, which has
# no numpy 2.5, showed nothing. They name arrays now.
#
# Seen output:
#   numpy 2.4.6: Float[ArrayLike, 'sounds classes'] is a union of types
#   numpy 2.5.1: TypeError: issubclass() arg 1 must be a class
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for candidate in "${PYTHON:-python3.12}" python3.13 python3.14 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "${python:-}" ] || { echo "needs Python 3.12 or later; PYTHON names it" >&2; exit 2; }
"$python" -m venv "$folder/venv"
cat > "$folder/annotation.py" <<'PYTHON'
import typing

import numpy
from jaxtyping import Float
from numpy.typing import ArrayLike

try:
    annotation = Float[ArrayLike, "sounds classes"]
    kind = "a union of types" if len(typing.get_args(annotation)) > 1 else repr(annotation)
    print(f"numpy {numpy.__version__}: Float[ArrayLike, 'sounds classes'] is {kind}")
except TypeError as error:
    print(f"numpy {numpy.__version__}: TypeError: {error}")
PYTHON
for numpy in 2.4.6 2.5.1; do
    "$folder/venv/bin/pip" install --quiet jaxtyping==0.3.11 "numpy==$numpy"
    "$folder/venv/bin/python" "$folder/annotation.py"
done 2>/dev/null | tee "$folder/found"
cat > "$folder/expected" <<'TEXT'
numpy 2.4.6: Float[ArrayLike, 'sounds classes'] is a union of types
numpy 2.5.1: TypeError: issubclass() arg 1 must be a class
TEXT
diff "$folder/expected" "$folder/found"
