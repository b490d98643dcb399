"""Which choices turn stored features into a number that somebody claims."""

from passerby.reconciler.claims import Claim
from passerby.reconciler.findings import Candidate, Explanation
from passerby.reconciler.search import explain
from passerby.reconciler.switches import Setting, words

__all__ = ["Candidate", "Claim", "Explanation", "Setting", "explain", "words"]
