#!/bin/sh
# With "leading" spacing, the default of AudioLDM2's schedulers, more steps can begin further from pure noise.
#
# Library: diffusers 0.36.0, with torch 2.13.0 (DPM-Solver++ with the settings of AudioLDM2's scheduler_config.json).
# Guess before running: the first timestep is near 999 whatever the number of steps.
# What happens: it falls in jumps, because steps are spaced by 1000 // (steps + 1): 199 steps begin at timestep 996, 200
# at 801, 250 at 751. Latents are pure noise at the beginning all the same, and so the sound is spoilt, without a word.
# For users of this project: where a checkpoint's spacing begins so low, timesteps are spaced from the end.
#
# Seen output:
#   100 steps begin at 901
#   199 steps begin at 996
#   200 steps begin at 801
#   250 steps begin at 751
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.36.0 torch==2.13.0 numpy==2.3.5
cat > "$folder/timesteps.py" <<'PYTHON'
from diffusers import DPMSolverMultistepScheduler

for steps in (100, 199, 200, 250):
    scheduler = DPMSolverMultistepScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="leading"
    )
    scheduler.set_timesteps(steps)
    print(f"{steps} steps begin at {int(scheduler.timesteps[0])}")
PYTHON
"$folder/venv/bin/python" "$folder/timesteps.py" 2>/dev/null | tee "$folder/found"
cat > "$folder/expected" <<'TEXT'
100 steps begin at 901
199 steps begin at 996
200 steps begin at 801
250 steps begin at 751
TEXT
diff "$folder/expected" "$folder/found"
