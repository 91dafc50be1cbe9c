"""A real schema registry with Confluent's API for tests: Apicurio Registry on the Java of the local Kafka."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.java import java
from runtime.local_process import LocalProcess, free_ports
from runtime.maven import Pin, cache_folder, fetch

PIN = Pin(
    "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63",
    158_577_952,
    "io.apicurio:apicurio-registry-app:3.3.3",
    classifier="all",
    packaging="tar.gz",
)
JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
READY_LINE = "Listening on:"  # Quarkus, when all is up


class LocalRegistry(LocalProcess):
    """A registry on 127.0.0.1; its schemas and their ids survive a kill and a restart, the port too.

    Attributes:
        url: For `schema_registry.url`.
    """

    def __init__(self, directory: Path) -> None:
        http, management = free_ports(2)
        options = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": http,
            "quarkus.http.access-log.enabled": "false",
            "quarkus.management.host": "127.0.0.1",  # else on all interfaces
            "quarkus.management.port": management,
            # On disk, at once: in memory, ids begin at 1 again after a restart and the caches of clients lie.
            "apicurio.datasource.url": f"jdbc:h2:file:{directory}/registry;WRITE_DELAY=0",
            "apicurio.datasource.jdbc.initial-size": 2,
            "apicurio.datasource.jdbc.min-size": 2,
        }
        program = next(installation().glob("*run*.jar"))
        settings = [f"-D{name}={value}" for name, value in options.items()]
        super().__init__("Apicurio", [java(), *JVM, *settings, "-jar", str(program)], directory, READY_LINE)
        self.url = f"http://127.0.0.1:{http}/apis/ccompat/v7"

    def be_backward_compatible(self) -> None:
        """Sets Confluent's default compatibility rule; Apicurio's own is none."""
        body = json.dumps({"compatibility": "BACKWARD"}).encode()
        headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        request = urllib.request.Request(f"{self.url}/config", body, headers, method="PUT")
        urllib.request.urlopen(request, timeout=30).close()


@contextmanager
def local_registry() -> Iterator[LocalRegistry]:
    """Runs a registry; raises UnavailableError when it cannot be had."""
    installation()  # first: without it no folder is left behind
    directory = Path(tempfile.mkdtemp(prefix="lead-scorer-registry-"))
    registry = LocalRegistry(directory)
    registry.start()
    try:
        registry.be_backward_compatible()
        yield registry
    finally:
        registry.stop()
        shutil.rmtree(directory, ignore_errors=True)


def installation() -> Path:
    """The unpacked registry, downloaded the first time (158 MB)."""
    target = cache_folder() / PIN.coordinates.replace(":", "-")
    if not target.is_dir():
        (archive,) = fetch("Apicurio Registry", [PIN]).glob("*.tar.gz")
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            with tarfile.open(archive) as tar:
                tar.extractall(Path(scratch, "app"), filter="data")
            if not target.is_dir():  # else a parallel run has unpacked it
                Path(scratch, "app").rename(target)
    return target
