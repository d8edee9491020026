"""The config: its sections, their defaults, and how a file of it is read. Free of torch."""
