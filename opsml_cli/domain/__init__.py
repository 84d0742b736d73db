"""Types, ports and errors. Imports nothing but the standard library."""
