#!/bin/sh
# AudioLDM2's own DDIM makes as many steps as it is asked for in 15 cases of 1000, and raises an error in 599.
#
# Library: audioldm2 0.1.0 (only its functions of DDIM's timesteps and their parameters are used), torch 2.13.0.
# Guess before running: a number that does not divide 1000 is rounded to one near; 300, a round number, certainly runs.
# What happens: every 1000 // steps-th timestep is taken, and one is added to each. Where the last one is 999 already,
# that is one more than there are: IndexError for 300, and for all numbers from 501 to 999. Elsewhere there are as many
# steps as fit: 167 where 150 are asked for, 500 where 400 are.
# For users of this project: sampling="authors" makes what theirs makes; what raises an error there is refused, with a
# number that runs.
#
# Seen output:
#   150 steps: 167 are made
#   200 steps: 200 are made
#   250 steps: 250 are made
#   300 steps: IndexError
#   400 steps: 500 are made
#   as asked for: 15, others: 386, IndexError: 599 of 1000
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 einops==0.8.2 pillow==12.3.0
"$folder/venv/bin/pip" install --quiet --no-deps --target "$folder/package" audioldm2==0.1.0
cat > "$folder/counts.py" <<'PYTHON'
import pathlib
import sys
import types

import numpy as np

# Without what the package imports at its top, which is all of its networks and many other packages.
package = types.ModuleType("audioldm2")
package.__path__ = [str(pathlib.Path(sys.argv[1]) / "audioldm2")]
sys.modules["audioldm2"] = package
from audioldm2.latent_diffusion.modules.diffusionmodules import util

# The noise of AudioLDM2's configuration. No number of steps depends on it.
alphas = np.cumprod(1.0 - util.make_beta_schedule("linear", 1000, linear_start=0.0015, linear_end=0.0195))


def made(steps):
    timesteps = util.make_ddim_timesteps("uniform", steps, 1000, verbose=False)
    try:
        util.make_ddim_sampling_parameters(alphas, timesteps, 1.0, verbose=False)
    except IndexError:
        return None
    return len(timesteps)


counts = {steps: made(steps) for steps in range(1, 1001)}
for steps in (150, 200, 250, 300, 400):
    print(f"{steps} steps: {'IndexError' if counts[steps] is None else f'{counts[steps]} are made'}")
as_asked = sum(steps == count for steps, count in counts.items())
refused = sum(count is None for count in counts.values())
print(f"as asked for: {as_asked}, others: {1000 - as_asked - refused}, IndexError: {refused} of 1000")
PYTHON
"$folder/venv/bin/python" "$folder/counts.py" "$folder/package" 2>/dev/null | tee "$folder/found"
cat > "$folder/expected" <<'TEXT'
150 steps: 167 are made
200 steps: 200 are made
250 steps: 250 are made
300 steps: IndexError
400 steps: 500 are made
as asked for: 15, others: 386, IndexError: 599 of 1000
TEXT
diff "$folder/expected" "$folder/found"
