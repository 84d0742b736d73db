"""Files and folders as content: written durably, hashed, read as model folders. Whatever the workspace is."""
