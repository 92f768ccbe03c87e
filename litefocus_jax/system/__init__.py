"""Files, settings, devices and waiting for them: no arrays of ours, no model."""
