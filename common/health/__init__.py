"""Whether a process makes progress: the checks, and the file in which a process keeps their result."""
