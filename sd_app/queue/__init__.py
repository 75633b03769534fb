"""The one line of jobs: page, HTTP and Python put jobs in, follow them by id, and find them again.

It knows nothing of pictures or models: what a kind of job does, it is told.
"""

from .job_queue import FRAME_SECONDS, PULSE_SECONDS, JobQueue
from .jobs import DONE, FAILED, RUNNING, STOPPED, WAITING, Job, JobNow, Kind
from .kept_line import KeptLine
from .limits import OWNER, VISITOR, Limits, work_of
from .open_app import OpenApp, announced, find_open_app

__all__ = [
    "DONE",
    "FAILED",
    "FRAME_SECONDS",
    "OWNER",
    "PULSE_SECONDS",
    "RUNNING",
    "STOPPED",
    "VISITOR",
    "WAITING",
    "Job",
    "JobNow",
    "JobQueue",
    "KeptLine",
    "Kind",
    "Limits",
    "OpenApp",
    "announced",
    "find_open_app",
    "work_of",
]
