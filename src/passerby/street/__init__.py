"""The rendered street: people, cameras and towns made by the project itself, with ground truth for everything."""
