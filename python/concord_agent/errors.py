"""What the user can put right."""

import contextlib
import errno


class UserError(Exception):
    """Something that the user can put right; its text says what and how. Shown without a traceback."""


@contextlib.contextmanager
def writing(path):
    """Makes a ``UserError`` of a failure to write at ``path``."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "; free some space and try again" if full else ""
        raise UserError("cannot write %s: %s%s" % (error.filename or path, error.strerror or error, advice))
