"""One request, from checked words to latents."""
