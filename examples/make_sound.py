"""Make one sound from Python.

    python examples/make_sound.py MODEL "rain on a tin roof" rain.wav --seconds 40

MODEL is a hub id (cvssp/audioldm2), a diffusers folder or a native folder.
"""

import argparse

from litefocus_jax import AudioLDM2Pipeline


def main() -> None:
    """Parse the command line, generate and save."""
    parser = argparse.ArgumentParser(description="Make one sound.")
    parser.add_argument("model")
    parser.add_argument("prompt")
    parser.add_argument("output")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()

    pipe = AudioLDM2Pipeline.from_pretrained(arguments.model)
    result = pipe(arguments.prompt, audio_length_in_s=arguments.seconds, num_inference_steps=arguments.steps)
    for path in result.save(arguments.output):
        print(path)


if __name__ == "__main__":
    main()
