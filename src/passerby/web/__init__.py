"""A page to find people in a gallery, and the same as JSON; `passerby serve` shows it. Needs the extra ``web``."""
