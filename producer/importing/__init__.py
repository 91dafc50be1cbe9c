"""Lead events from files of other systems: CSV or lines of JSON, with a mapping that names columns and types."""

from producer.importing.mapping import Mapping, load_mapping
from producer.importing.rejection import Rejection
from producer.importing.run import Summary, import_events
from producer.importing.source import Format, Source, open_source
from producer.importing.translate import Translator

__all__ = [
    "Format",
    "Mapping",
    "Rejection",
    "Source",
    "Summary",
    "Translator",
    "import_events",
    "load_mapping",
    "open_source",
]
