"""The fuzzers by name."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from fuzz_classifier_claims import (
    check_l0_classifier,
    check_l0_classifier_cv,
    check_l0_log_path,
)
from fuzz_convex_claims import check_group_lasso, check_group_lasso_counts, check_oscar
from fuzz_count_claims import check_l0_counts
from fuzz_group_claims import check_group_classifier, check_group_path, check_group_regressor
from fuzz_harness import Report, run_one
from fuzz_l0_claims import check_l0, check_l0_cv, check_l0_path
from fuzz_network_claims import check_network
from fuzz_sorted_claims import check_sorted_classifier, check_sorted_path, check_sorted_regressor

CHECKS: dict[str, Callable[[Report, np.random.Generator], None]] = {
    "group_lasso": check_group_lasso,
    "group_lasso_counts": check_group_lasso_counts,
    "group_regressor": check_group_regressor,
    "group_classifier": check_group_classifier,
    "group_path": check_group_path,
    "oscar": check_oscar,
    "sorted_regressor": check_sorted_regressor,
    "sorted_classifier": check_sorted_classifier,
    "sorted_path": check_sorted_path,
    "l0": check_l0,
    "l0_path": check_l0_path,
    "l0_cv": check_l0_cv,
    "l0_classifier": check_l0_classifier,
    "l0_classifier_cv": check_l0_classifier_cv,
    "l0_log_path": check_l0_log_path,
    "l0_counts": check_l0_counts,
    "network": check_network,
}


def run(name: str, seed: int, seconds: float = 60.0) -> Report:
    """The report on problem ``seed`` of a fuzzer; nothing else decides what is drawn."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return run_one(lambda report: CHECKS[name](report, rng), seed, seconds)
