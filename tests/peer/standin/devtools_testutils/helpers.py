def is_live_and_not_recording() -> bool:
    return True
