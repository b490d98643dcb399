"""Numbers from vectors, each with its convention."""
