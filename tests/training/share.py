"""What each of several processes does; started by torchrun, and run alone for comparison. Writes what it found to a file.

share.py OUT.pt WORK_FOLDER
"""

import contextlib
import sys
from pathlib import Path

import torch
from torch import nn

from passerby.batches import Batch
from passerby.errors import TrainingError
from passerby.training import (
    distribute,
    fit,
    gather,
    make_optimizer,
    parameter_groups,
    processes,
    refresh_norms,
    synchronise_norms,
)
from passerby.training.distributed import World, any_process, everyone

B, D = 12, 5


class Net(nn.Module):
    def __init__(self, norms):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4) if norms else nn.Identity(), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(4 * 6 * 2, D), nn.BatchNorm1d(D) if norms else nn.Identity())

    def forward(self, inputs):
        return self.head(self.backbone(inputs))


def network(norms):
    torch.manual_seed(1)
    return Net(norms).double() if not norms else Net(norms)


def batch_of(epoch, position, dtype=torch.float64):
    generator = torch.Generator().manual_seed(100 * epoch + position)
    inputs = torch.randn(B, 3, 8, 4, generator=generator, dtype=torch.float64).to(dtype)
    return inputs, torch.randint(0, 3, (B,), generator=generator)


def share(tensor, here):
    length = len(tensor) // here.size
    return tensor[here.rank * length : (here.rank + 1) * length]


def pair_loss(embeddings, labels):
    """Every pair of the batch counts: what one process cannot compute from its own rows."""
    distances = torch.cdist(embeddings, embeddings)
    same = labels[:, None] == labels[None]
    return distances[same].mean() + torch.relu(3 - distances[~same]).mean()


def gradients(here, norms):
    """The gradients of a cross-entropy (a mean over images) plus a pair loss on the global batch."""
    dtype = torch.float32 if norms else torch.float64
    inputs, labels = batch_of(0, 0, dtype)
    model = synchronise_norms(network(norms))
    wrapped = distribute(model)
    embeddings = wrapped(share(inputs, here))
    own = nn.functional.cross_entropy(embeddings, share(labels, here))
    (own + pair_loss(gather(embeddings), gather(share(labels, here)))).backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}
    return found | {f"buffer {name}": buffer for name, buffer in model.named_buffers()}


class ShareLoader:
    def __init__(self, here):
        self.here = here

    def __len__(self):
        return 4

    def epoch(self, number, start=0):
        for position in range(start, 4):
            inputs, labels = (share(t, self.here) for t in batch_of(number, position))
            zeros = torch.zeros_like(labels)
            yield Batch(inputs, labels, zeros, zeros, zeros)


def trained(here, run_dir, stop_at=None, **options):
    """A run of two epochs by all processes together; dropout differs from process to process."""
    model = network(norms=False)
    torch.manual_seed(here.rank)
    wrapped = distribute(model)
    optimizer = make_optimizer("sgd", parameter_groups(model, 0.1))
    steps = []

    def step(batch):
        if len(steps) == stop_at:
            raise KeyError
        steps.append(len(batch))
        noisy = nn.functional.dropout(batch.inputs, 0.1)
        embeddings = wrapped(noisy)
        loss = pair_loss(gather(embeddings), gather(batch.labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return {"loss": loss}

    state = {"model": wrapped, "optimizer": optimizer}
    with contextlib.suppress(KeyError):
        fit(
            step, ShareLoader(here), epochs=2, run_dir=run_dir, state=state, tensorboard=False, quiet=True, log_every=1, **options
        )
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return weights, len(steps)


def poisoned(here, run_dir):
    """One process meets a NaN: all must stop, none may wait for ever."""
    loss = float("nan") if here.rank == here.size - 1 else 1.0
    try:
        fit(lambda batch: {"loss": loss}, ShareLoader(here), epochs=1, run_dir=run_dir, state={}, tensorboard=False, quiet=True)
    except TrainingError as error:
        return str(error)
    return "went on"


def refreshed(here):
    model = network(norms=True)
    model.double()
    refresh_norms(model, (batch.inputs for batch in ShareLoader(here).epoch(0)), lambda m, inputs: m(inputs))
    return {name: buffer for name, buffer in model.named_buffers() if "running" in name}


def unequal(here):
    try:
        gather(torch.zeros(here.rank + 1, 2))
    except TrainingError as error:
        return str(error)
    return "went on"


def main(out, work):
    with processes("cpu") as here:
        found = {
            "rank": here.rank,
            "size": here.size,
            "plain": gradients(here, norms=False),
            "synchronised": gradients(here, norms=True),
            "gathered": gather(torch.tensor([[here.rank, here.rank + 0.5]])),
            "any": any_process(here.rank == here.size - 1, here.device),
            "none": any_process(False, here.device),
            "refreshed": refreshed(here),
            "unequal": unequal(here),
            "poisoned": poisoned(here, work / "poisoned"),
            "whole": trained(here, work / "whole"),
        }
        options = {"resume": True}
        found["first part"] = trained(here, work / "parts", stop_at=5, **options)
        found["second part"] = trained(here, work / "parts", **options)
        everything = everyone(found)
        if here.first:
            torch.save(everything, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
else:
    ALONE = World()
