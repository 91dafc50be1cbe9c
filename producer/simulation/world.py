"""A simulation as others use it: its records in order, and the conversions behind them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from producer.simulation.attributes import Attributes, attributes
from producer.simulation.conversions import convert
from producer.simulation.faults import FAULTS, in_a_field
from producer.simulation.journeys import DEMO_REQUEST, EMAIL_OPEN, EVENT_TYPES, PAGE_VISIT, PROFILE_UPDATE, travel
from producer.simulation.leads import populate
from producer.simulation.order import Shares, arrange, shares
from producer.simulation.parameters import Parameters

_CHUNK = 4096  # records turned into Python objects at a time
_SOURCES = {PAGE_VISIT: "website", DEMO_REQUEST: "website", EMAIL_OPEN: "mailing", PROFILE_UPDATE: "crm"}


class SimulatedRecord(NamedTuple):
    """One record to send.

    Attributes:
        event: The lead event; where the fault is in a field, it is in here already.
        fault: What is wrong with the record, of `faults.FAULTS`, or None.
        number: Of the malformed record: chooses the form of its fault.
    """

    event: dict[str, Any]
    fault: str | None
    number: int


class Simulation:
    """Leads on a simulated time line, their events and conversions; the same parameters give the same.

    Args:
        parameters: What to simulate.

    Attributes:
        counts: How many records of each sort there are.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        wanted = shares(parameters)
        leads = populate(parameters)
        self._journeys = travel(parameters, leads, wanted.clean)
        self._order = arrange(parameters, wanted, self._journeys.at_ms)
        self._converted_ms = convert(parameters, leads, self._journeys)
        self._attributes: Attributes = attributes(parameters, leads, self._journeys)
        self._spoilt_lead = parameters.stream("malformed").integers(0, parameters.leads, wanted.malformed)
        self.counts = Shares(wanted.clean, wanted.duplicates, wanted.malformed, self._order.late)

    def records(self) -> Iterator[SimulatedRecord]:
        """The records in the order in which they are sent."""
        clean = self.counts.clean
        for begin in range(0, len(self._order.number), _CHUNK):
            numbers = self._order.number[begin : begin + _CHUNK]
            times = self._order.at_ms[begin : begin + _CHUNK]
            events = self._events(numbers[numbers < clean])
            for number, at in zip(numbers.tolist(), times.tolist(), strict=True):
                if number < clean:
                    yield SimulatedRecord(next(events), None, 0)
                else:
                    yield self._malformed(number - clean, at)

    def outcomes(self) -> list[tuple[str, int]]:
        """Lead id and time (ms since 1970) of each conversion, by time."""
        leads = np.flatnonzero(self._converted_ms >= 0)
        leads = leads[np.argsort(self._converted_ms[leads], kind="stable")]
        start = self.parameters.start_ms
        return [(self._lead_id(lead), start + int(self._converted_ms[lead])) for lead in leads.tolist()]

    def _events(self, indices: "np.ndarray[Any, np.dtype[np.int64]]") -> Iterator[dict[str, Any]]:
        journeys, start = self._journeys, self.parameters.start_ms
        prefix, name, pages = f"lead-{self.parameters.seed}-", self.parameters.name, self._attributes.pages(indices)
        columns = zip(
            indices.tolist(),
            journeys.lead[indices].tolist(),
            (journeys.at_ms[indices] + start).tolist(),
            journeys.kind[indices].tolist(),
            pages,
            strict=True,
        )
        for index, lead, at, kind, page in columns:
            email, headcount, created = (
                self._attributes.profile(index) if kind == PROFILE_UPDATE else (None, None, None)
            )
            yield {
                "event_id": f"{name}-{index:07x}",
                "lead_id": f"{prefix}{lead}",
                "event_type": EVENT_TYPES[kind],
                "occurred_at": at,
                "source": _SOURCES.get(kind, "website"),
                "page_url": page,
                "email": email,
                "company_headcount": headcount,
                "created_at": None if created is None else created + start,
            }

    def _malformed(self, number: int, at: int) -> SimulatedRecord:
        fault = FAULTS[number % len(FAULTS)]
        event = {
            "event_id": f"{self.parameters.name}-x{number:07x}",
            "lead_id": self._lead_id(int(self._spoilt_lead[number])),
            "event_type": "PAGE_VISIT",
            "occurred_at": self.parameters.start_ms + at,
            "source": "website",
            "page_url": None,
            "email": None,
            "company_headcount": None,
            "created_at": None,
        }
        form = number // len(FAULTS)
        return SimulatedRecord(in_a_field(fault, form, event), fault, form)

    def _lead_id(self, lead: int) -> str:
        return f"lead-{self.parameters.seed}-{lead}"
