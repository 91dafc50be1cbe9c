"""What the local servers have in common when there is none."""


class UnavailableError(Exception):
    """A server for tests or the demo cannot be had on this machine; the message is one line that says why.

    Try the next kind of server, or tell the user; nothing was left running.
    """
