"""Networks: a backbone, a neck, a head; every one returns `Outputs`."""
