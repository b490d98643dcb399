"""Films in: people are found, followed and cut out, and the best crops of each track go into a gallery."""
