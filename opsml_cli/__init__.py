"""opsml: from a CSV to a watched, documented, retrainable model service."""

__version__ = "0.1.0"
