"""Linear models that use few features."""

from sksparse.linear_model._convex_path import ConvexPath
from sksparse.linear_model.counts._l0 import L0PoissonRegressor
from sksparse.linear_model.counts._l0_cv import L0PoissonRegressorCV
from sksparse.linear_model.group._alpha_max import alpha_max
from sksparse.linear_model.group._classifier import GroupLassoClassifier
from sksparse.linear_model.group._classifier_cv import GroupLassoClassifierCV
from sksparse.linear_model.group._path import group_lasso_path
from sksparse.linear_model.group._regressor import GroupLassoRegressor
from sksparse.linear_model.group._regressor_cv import GroupLassoRegressorCV
from sksparse.linear_model.group._task import GroupLassoPath
from sksparse.linear_model.l0._classifier import L0Classifier
from sksparse.linear_model.l0._classifier_cv import L0ClassifierCV
from sksparse.linear_model.l0._path import l0_path
from sksparse.linear_model.l0._path_result import L0Path
from sksparse.linear_model.l0._regressor import L0Regressor
from sksparse.linear_model.l0._regressor_cv import L0RegressorCV
from sksparse.linear_model.sorted_l1._growl import GrOWL
from sksparse.linear_model.sorted_l1._oscar import OSCAR
from sksparse.linear_model.sorted_l1._oscar_classifier import OSCARClassifier
from sksparse.linear_model.sorted_l1._oscar_classifier_cv import OSCARClassifierCV
from sksparse.linear_model.sorted_l1._oscar_cv import OSCARCV
from sksparse.linear_model.sorted_l1._path import oscar_path, slope_path
from sksparse.linear_model.sorted_l1._slope import SLOPE
from sksparse.linear_model.sorted_l1._slope_classifier import SLOPEClassifier
from sksparse.linear_model.sorted_l1._slope_classifier_cv import SLOPEClassifierCV
from sksparse.linear_model.sorted_l1._slope_cv import SLOPECV
from sksparse.linear_model.sorted_l1._task import SLOPEPath

__all__ = [
    "OSCAR",
    "OSCARCV",
    "SLOPE",
    "SLOPECV",
    "ConvexPath",
    "GrOWL",
    "GroupLassoClassifier",
    "GroupLassoClassifierCV",
    "GroupLassoPath",
    "GroupLassoRegressor",
    "GroupLassoRegressorCV",
    "L0Classifier",
    "L0ClassifierCV",
    "L0Path",
    "L0PoissonRegressor",
    "L0PoissonRegressorCV",
    "L0Regressor",
    "L0RegressorCV",
    "OSCARClassifier",
    "OSCARClassifierCV",
    "SLOPEClassifier",
    "SLOPEClassifierCV",
    "SLOPEPath",
    "alpha_max",
    "group_lasso_path",
    "l0_path",
    "oscar_path",
    "slope_path",
]
