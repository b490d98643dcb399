"""Which choices turn stored features into a number that somebody claims."""

from passerby.reconciler.claims import Claim
from passerby.reconciler.search import Candidate, Explanation, explain
from passerby.reconciler.switches import Setting, words

__all__ = ["Candidate", "Claim", "Explanation", "Setting", "explain", "words"]
