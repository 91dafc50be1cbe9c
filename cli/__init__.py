"""The commands: they wire everything and decide nothing."""
