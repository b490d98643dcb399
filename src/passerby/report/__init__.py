"""One page about runs: what was trained on what, how well it finds people, where it fails, and what might help."""

from passerby.report.advice import Advice, camera_advice
from passerby.report.page import check_request, write_report
from passerby.report.published import Beside, published_beside
from passerby.report.runs import Run, read_run

__all__ = ["Advice", "Beside", "Run", "camera_advice", "check_request", "published_beside", "read_run", "write_report"]
