"""Jobs on the wire: bodies read into what the local engine runs, and local jobs shown as Azure shows them."""
