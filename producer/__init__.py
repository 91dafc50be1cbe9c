"""Writes lead events: the library that upstream systems use, file import, the simulator."""
