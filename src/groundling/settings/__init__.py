"""The search over settings, as far as it is no stage's business: the space, what is tried next, the trials on disk, the config edited."""
