"""The service in a seeded simulation: several instances, their Kafka, and everything that goes wrong between them.

What is real: all of `consumer`, wired by `consumer.wiring`, with the real codecs and scoring core. What is simulated:
the Kafka client's objects, the brokers behind them, time, chance and threads. Each thread of the service is a task of
one thread here, and whose turn it is follows from the seed, as does everything else: a seed is a run.

    kernel      virtual time, tasks, processes that can be killed, stopped or cut off
    threads     stand-ins for Event, Queue, Thread, `wait`; seams: where they are put in
    logs        partitions: records, markers, aborted ones, last stable offset, compaction
    coordinator transactions: epochs, timeouts, markers that come late, ends that come very late (before KIP-890)
    group       members, generations, cooperative hand-over, pending offsets
    network     latency, cuts, lost answers
    member, readers, producer   stand-ins for Consumer, AdminClient and Producer
    scenario    what a seed has: sizes, delays, kinds of faults (swarm testing); faults: who strikes and when
    loss        the state is damaged, must be refused, and rebuilt when asked to
    checks      the invariants, with `tests.oracle` as the second implementation
    mutants     bugs to plant; each must be found

    pytest tests/simulation                          some hundred seeds and all mutants
    SIMULATION_SEEDS=10000 pytest tests/simulation   the long form
    pytest tests/simulation --seed 4711              one seed
    python -m tests.simulation 4711                  one seed with its trace, line by line
    python -m tests.simulation 0 5000                many, with a summary of what fails
"""
