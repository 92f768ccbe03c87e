"""Training of the diffusion model on latents with captions: what is trained, the loss, one update, and the loop."""
