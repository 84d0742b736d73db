"""Python environments of models and scripts: what they ask for, whether this Python has it, and private ones that do."""
