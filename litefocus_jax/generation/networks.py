"""The networks of a model as a generation wants them: on the devices that share it, or on a circle of time."""

import functools

from jax.sharding import Mesh

from litefocus_jax.generation.plan import DenoisingPlan
from litefocus_jax.models.circular import on_circle
from litefocus_jax.models.components import Components
from litefocus_jax.models.unet.looped import loop_over_transformers
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.models.vae import VAE
from litefocus_jax.models.vocoder import Vocoder
from litefocus_jax.parallel.mesh import replicate
from litefocus_jax.system.platform import current_platform


class Networks:
    """UNet, VAE and vocoder of a model.

    Args:
        components: the model.
    """

    def __init__(self, components: Components) -> None:
        self._components = components
        self._unet_copies: tuple[tuple[Mesh, bool], UNet] | None = None
        self._decoder_copies: tuple[tuple[Mesh, bool], tuple[VAE, Vocoder]] | None = None

    def unet(self, plan: DenoisingPlan) -> UNet:
        """The UNet that denoises by a plan; its copies on a mesh are kept until there is another mesh."""
        # In windows, each of which has ends, the loop is closed by the windows going round.
        is_circular = plan.loop and (plan.windows is None or plan.windows.is_whole)
        unet = self._circular_unet if is_circular else self._components.unet
        if plan.mesh is None:
            return unet
        wanted = (plan.mesh, is_circular)
        if self._unet_copies is None or self._unet_copies[0] != wanted:
            # On one device there would be two of all arrays: those of the model, and the stacked ones.
            looped = loop_over_transformers(unet) if current_platform().loops_over_layers else unet
            self._unet_copies = (wanted, replicate(plan.mesh, looped))
        return self._unet_copies[1]

    def decoders(self, *, loop: bool, mesh: Mesh | None = None) -> tuple[VAE, Vocoder]:
        """The networks that make sound of latents; their copies on a mesh are kept until there is another mesh."""
        decoders = self._circular_decoders if loop else (self._components.vae, self._components.vocoder)
        if mesh is None:
            return decoders
        if self._decoder_copies is None or self._decoder_copies[0] != (mesh, loop):
            self._decoder_copies = ((mesh, loop), replicate(mesh, decoders))
        return self._decoder_copies[1]

    @functools.cached_property
    def _circular_unet(self) -> UNet:
        return on_circle(self._components.unet)

    @functools.cached_property
    def _circular_decoders(self) -> tuple[VAE, Vocoder]:
        return on_circle(self._components.vae), on_circle(self._components.vocoder)
