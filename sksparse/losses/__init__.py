"""Data terms ``f(z) = (1 / sum_i s_i) sum_i s_i loss(y_i, z_i)`` of the linear predictor ``z``.

A loss is built on the targets ``y``, a row for each sample, and sample weights that already sum to
one, so every value, gradient and curvature below carries the weights. A new loss is one file that
derives from :class:`Loss`, or from :class:`ConjugateLoss` where its Fenchel conjugate is known, and
one line here.
"""

from sksparse.losses._base import ConjugateLoss, Loss
from sksparse.losses._cox import Cox
from sksparse.losses._huber import Huber
from sksparse.losses._logistic import Logistic
from sksparse.losses._multinomial import Multinomial
from sksparse.losses._poisson import Poisson
from sksparse.losses._squared import Squared

LOSSES: dict[str, type[Loss]] = {
    "squared": Squared,
    "logistic": Logistic,
    "poisson": Poisson,
    "huber": Huber,
    "cox": Cox,
}

__all__ = [
    "LOSSES",
    "ConjugateLoss",
    "Cox",
    "Huber",
    "Logistic",
    "Loss",
    "Multinomial",
    "Poisson",
    "Squared",
]
