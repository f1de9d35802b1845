"""What the engine refuses, and with which errno."""

import errno
import os


class EngineError(OSError):
    """Anything the engine refuses by itself; `errno` says how Linux would have put it."""

    @property
    def message(self) -> str:
        """One line, without the errno."""
        return str(self.strerror or os.strerror(self.errno or 0))


class RefusedError(EngineError):
    """A table line was not accepted; the message is the kernel's own."""


class UnusableDeviceError(EngineError):
    """A file or block device cannot be used: not there, in use, cut, or the wrong one."""


class RequestError(EngineError):
    """A request or message was refused, or failed; nothing more is known of it than its errno."""


class ClosedError(EngineError):
    """The engine has been closed."""


def refusal(name: str, message: str) -> RefusedError:
    """A refusal with the errno of this name."""
    return RefusedError(getattr(errno, name), message)
