"""Measurements of speed and memory, each beside an echo that does no work: docs/benchmarks.md says how to read them."""
