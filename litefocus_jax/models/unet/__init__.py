"""The denoising network of AudioLDM2."""
