"""All that can be wrong with a job, found before a device is held."""
