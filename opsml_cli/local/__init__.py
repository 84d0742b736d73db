"""The embedded workspace: everything for real on this machine, in a folder."""
