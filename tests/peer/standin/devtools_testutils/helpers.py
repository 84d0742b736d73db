def is_live_and_not_recording() -> bool:
    """As while Microsoft records: names are random, but the hashes of uploaded content are real."""
    return False
