"""Fits to all pairs of halves, at the same time where that is asked for."""

from __future__ import annotations

from sklearn.utils.parallel import Parallel, delayed

from sksparse._fit_tasks import concurrent_fit_tasks
from sksparse._interrupts import check, worth_keeping
from sksparse._progress import Progress
from sksparse.feature_selection.stability._path import LARGEST_SEED, HalfPath, KeptInside, Rng
from sksparse.feature_selection.stability._votes import Tally

#: Fewer pairs are no resampling.
FEWEST_PAIRS = 2


def resample(
    path: HalfPath, n_pairs: int, rng: Rng, *, name: str, n_jobs: int | None, verbose: int
) -> Tally:
    """What all halves select; of those so far where an interruption ends it.

    Parameters
    ----------
    path : HalfPath
        What is fitted to a half.
    n_pairs : int
        Number of pairs.
    rng : RandomState
        Where the seeds of the pairs come from.
    name : str
        Who works, for lines of progress.
    n_jobs, verbose : int
        As of the estimator.
    """
    seeds = rng.randint(LARGEST_SEED, size=n_pairs)
    tally = Tally(len(path.strengths), path.X.shape[1])
    with (
        Progress(name, "pair", n_pairs, verbose=verbose) as progress,
        concurrent_fit_tasks("pairs", n_pairs) as tasks,
    ):
        pairs = zip(seeds, tasks, strict=True)
        jobs = (delayed(path.pair)(int(seed), task) for seed, task in pairs)
        try:
            for votes in Parallel(n_jobs=n_jobs, return_as="generator")(jobs):
                tally.add(votes)
                progress.step(tally.describe)
                check()
        except KeptInside:
            if tally.n_pairs < FEWEST_PAIRS:
                raise
        except KeyboardInterrupt:
            if tally.n_pairs < FEWEST_PAIRS or not worth_keeping():
                raise
    return tally
