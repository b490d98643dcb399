"""Which images stand in one batch: every epoch a pure function of (seed, epoch), cut alike for any number of processes.

A global batch is cut into `world` shares, one a process, so that the K images of a person stay together.
"""

from passerby.samplers.classes import BalancedSampler, ClassSampler
from passerby.samplers.domains import DomainBalancedSampler
from passerby.samplers.few_domains import FewDomainsSampler
from passerby.samplers.plain import IdentitySampler, Sampler, SequentialSampler, ShuffleSampler, identities_per_batch
from passerby.samplers.repeating import RepeatingSampler

__all__ = [
    "BalancedSampler",
    "ClassSampler",
    "DomainBalancedSampler",
    "FewDomainsSampler",
    "IdentitySampler",
    "RepeatingSampler",
    "Sampler",
    "SequentialSampler",
    "ShuffleSampler",
    "identities_per_batch",
]
