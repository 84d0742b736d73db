"""The service layer: stories of two or more port calls, the same on every workspace."""
