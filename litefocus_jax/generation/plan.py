"""How the latents of one request are denoised, decided before anything runs."""

import dataclasses
from collections.abc import Sequence

from jax.sharding import Mesh

from litefocus_jax.diffusion.windows import WindowLayout
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.parallel.mesh import GUIDANCE_AXIS, TIME_AXIS, check_mesh


@dataclasses.dataclass(frozen=True)
class DenoisingPlan:
    """What is static about denoising; with the shapes of its arrays, it is what a program is compiled for.

    Attributes:
        frames: of the latents.
        steps_per_call: steps in each call of the compiled loop; divides the number of all steps.
        guided: whether classifier-free guidance runs.
        attention: of the network.
        windows: of the latents, or None where the network sees them whole.
        mesh: devices that share the work, or None for one.
        loop: whether the end of the latents runs on into their beginning.
        holds: whether a part of the latents is known, and held.
    """

    frames: int
    steps_per_call: int = 1
    guided: bool = True
    attention: AttentionLayout = DENSE
    windows: WindowLayout | None = None
    mesh: Mesh | None = None
    loop: bool = False
    holds: bool = False

    @property
    def changes_prompt(self) -> bool:
        """Whether there are several prompts along each sound, which all sounds share."""
        return self.windows is not None and bool(self.windows.stretches)

    @property
    def splits_guidance(self) -> bool:
        """Whether two groups of devices run a branch of guidance each."""
        return self.mesh is not None and self.mesh.shape.get(GUIDANCE_AXIS, 1) > 1


def steps_per_call(num_steps: int, longest: int) -> int:
    """The largest number of steps per call that divides the whole evenly and is at most ``longest``."""
    return max(length for length in range(1, longest + 1) if num_steps % length == 0)


def checked_mesh(mesh: Mesh, windows: WindowLayout | None, *, guided: bool, whole_frames: Sequence[str]) -> Mesh:
    """Devices that can share the work of a request.

    Args:
        mesh: as it was asked for.
        windows: of the request.
        guided: whether there are two branches of guidance.
        whole_frames: names of the options that were asked for and cannot be where devices share the frames of a sound.

    Raises:
        TypeError: when it is no mesh.
        ValueError: when it cannot be honoured, or not beside one of those options.
    """
    mesh = check_mesh(mesh, windowed=windows is not None and not windows.is_whole)
    if whole_frames and mesh.shape.get(TIME_AXIS, 1) > 1:
        raise ValueError(
            f"{whole_frames[0]} is given, but the mesh spreads frames along {TIME_AXIS!r}; expected 'data' alone"
        )
    if mesh.shape.get(GUIDANCE_AXIS, 1) > 1:
        if not guided:
            raise ValueError(
                f"mesh has two groups of devices along {GUIDANCE_AXIS!r}, and guidance is off; expected a "
                "guidance_scale of more than 1, or no such axis"
            )
        if windows is not None and windows.stretches:
            raise ValueError(
                f"timeline is given, but the mesh has two groups of devices along {GUIDANCE_AXIS!r}; expected 'data' "
                "alone"
            )
    return mesh
