"""How CPython is set up for a process that makes and drops thousands of small objects with every batch."""

import gc

YOUNG_OBJECTS = 50_000
"""New objects before a collection: above what two batches of 2,000 records hold, or each batch would be walked through
a few times while it lives. They go without the collector, by their reference counts."""


def settle() -> None:
    """Spares the garbage collector what is there now, and lets it look at what comes after less often.

    To be called once, when everything that lasts was made: modules, schemas, clients, the policy. Their 80,000 objects
    are then not walked through again; cycles that are made later are still found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
