"""Latents to sound: short sounds in one piece, long ones in tiles, in memory that does not grow with them."""
