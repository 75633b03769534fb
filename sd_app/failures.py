"""Where a failure becomes a sentence: for the page, HTTP and the command line.

What our own code refuses speaks for itself. Of everything else, a fault of ours or of a library, the reader
gets a number, and the log one line that begins with it; the traceback is logged at the level debug.
"""

import dis
import logging
import secrets
from pathlib import Path
from types import TracebackType

from .user_files import MAX_REASON, one_line, readable

log = logging.getLogger(__name__)

NO_MEMORY = "there is not enough memory (make the picture smaller, or fewer at once)"
TOO_DEEP = "what was sent is nested too deeply (take brackets out of it)"
UNFORESEEN = "this failed for a reason that was not foreseen"
_PACKAGE = Path(__file__).resolve().parent
_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # none that is read as another
_MAX_LOGGED = 500  # characters of an error

# In lower case. CUDA's libraries take memory of their own when they are first used, and say in their own
# words that there is none; cuDNN tries its engines, and where none gets its workspace it has found none.
FULL = (
    "out of memory",  # torch's allocators on CUDA, HIP and MPS, the drivers, Linux
    "erroroutofmemory",  # hipErrorOutOfMemory
    "errormemoryallocation",  # cudaErrorMemoryAllocation
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "failed to allocate",
    "bad_alloc",
    "status_alloc_failed",  # CUBLAS_, CUDNN_, CUSOLVER_, HIPBLAS_
    "status_not_initialized",  # the same libraries: what they begin with needs memory
    "allocation_failed",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
    "status_memory_error",  # rocBLAS
    "unable to find an engine",  # cuDNN, through torch
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Tell a full memory, also one behind an error, from others; only the words do for most libraries."""
    if error is None:
        return False
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # torch's
    if known or any(word in str(error).lower() for word in FULL):
        return True
    return is_out_of_memory(error.__cause__ or error.__context__)


def failure_text(error: Exception, mode: str = "local") -> str:
    """Return what to say of a failure, without a full stop. What is not our own words goes to the log.

    An error of the operating system may name folders, so only the owner of the machine (local mode) reads it.
    """
    if isinstance(error, RecursionError):
        return TOO_DEEP
    if isinstance(error, ValueError | MemoryError) and str(error) and is_refusal(error):
        return readable(str(error))
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, OSError) and mode == "local":
        return _told_by_system(error)
    number = log_failure(error)
    if is_out_of_memory(error):
        return NO_MEMORY
    # To the owner a library's sentence may be a help; a single word is the inside of something.
    words = one_line(readable(str(error))).rstrip(".")[:MAX_REASON] if mode == "local" else ""
    why = f": {words}" if " " in words else ""
    return f"{UNFORESEEN}{why}; it is number {number} in the log (try it again)"


def is_refusal(error: Exception) -> bool:
    """Tell an error that our code raised in so many words from one that it ran into.

    int("a"), say, raises a ValueError inside our code whose words are Python's.
    """
    if isinstance(error, UnicodeError):
        return False
    last = _last(error.__traceback__)
    if last is None:  # made, and never raised
        return True
    code = last.tb_frame.f_code
    raised = dis.opname[code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
    return raised and Path(code.co_filename).is_relative_to(_PACKAGE)


def log_failure(error: BaseException) -> str:
    """Write one line on an error that was not foreseen to the log; return the number it begins with."""
    number = "".join(secrets.choice(_LETTERS) for _ in range(6))
    place = _last(error.__traceback__)
    where = f" in {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
    what = one_line(readable(str(error)))[:_MAX_LOGGED]
    log.error("%s: %s: %s%s", number, type(error).__name__, what, where)
    log.debug("%s", number, exc_info=error)
    return number


def _told_by_system(error: OSError) -> str:
    """Return an error of the operating system without its number: No space left on device: a/b.png."""
    named = f": {error.filename}" if error.filename is not None else ""
    text = f"{error.strerror}{named}" if error.strerror and error.args[1:] else str(error)
    return readable(text) or "the file cannot be read or written"


def _last(trace: TracebackType | None) -> TracebackType | None:
    """Return the innermost place of a traceback."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace
