"""Answers of a compiled model from its arrays: numpy and LightGBM's C library, nothing else."""
