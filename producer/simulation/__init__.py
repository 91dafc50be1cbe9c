"""Simulated leads: a generative model whose conversions depend on more than any rule looks at."""

from producer.simulation.parameters import Parameters
from producer.simulation.world import SimulatedRecord, Simulation

__all__ = ["Parameters", "SimulatedRecord", "Simulation"]
