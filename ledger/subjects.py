"""The losses of other libraries that fit a kind, how they are called, and their projects' own threads about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from matchloss.names import resolve


@dataclass(frozen=True, eq=False)
class Entry:
    """A loss of another library. Only names are here: a library is imported when one of its losses is made."""

    name: str  # "module:attribute"
    kind: str
    convention: Mapping[str, Any] = field(default_factory=dict)  # what trying cannot find out, or finds out otherwise
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of a class's constructor, or held fixed in a function's calls
    threads: tuple[str, ...] = ()  # the project's own about it

    @property
    def module(self) -> str:
        """Where it is."""
        return self.name.partition(":")[0]

    @property
    def call(self) -> str:
        """Its name with the arguments that are held fixed."""
        given = ", ".join(f"{k}={v!r}" for k, v in self.arguments.items())
        return self.name.partition(":")[2] + (f"({given})" if given else "")

    def target(self) -> Any:
        """What is audited."""
        found = resolve(self.name)
        if not self.arguments:
            return found
        return found(**self.arguments) if isinstance(found, type) else partial(found, **self.arguments)


def issues(project: str, *numbers: int) -> tuple[str, ...]:
    """Addresses of threads on GitHub."""
    return tuple(f"https://github.com/{project}/issues/{n}" for n in numbers)


PYTORCH, OPTAX, SKLEARN = "pytorch/pytorch", "google-deepmind/optax", "scikit-learn/scikit-learn"
REGRESSION, BINARY, MULTICLASS, COUNT, POSITIVE = "regression", "binary", "multiclass", "count", "positive"
PREDICTION, LOG_PREDICTION = {"input": "prediction"}, {"input": "log_prediction"}
TORCH, JAX, NUMPY = {"framework": "torch"}, {"framework": "jax"}, {"framework": "numpy"}
OBSERVED_FIRST = NUMPY | {"order": "target, prediction"}
SCORE = OBSERVED_FIRST | PREDICTION
NUMBERS = {"sign": 1, "target": "numbers"}
LOG_SCALE = OBSERVED_FIRST | NUMBERS | {"input": "raw"}
F, O, SK = "torch.nn.functional:", "optax.losses:", "sklearn._loss:"
E, SM, SR, MD = "entmax:", "statsmodels.genmod.families:", "scoringrules:", "model_diagnostics.scoring:"

TORCH_LOSSES = (
    Entry(F + "binary_cross_entropy", BINARY, TORCH | PREDICTION, threads=issues(PYTORCH, 24933, 103316, 171327)),
    Entry(F + "binary_cross_entropy_with_logits", BINARY, TORCH),
    Entry(
        F + "cross_entropy",
        MULTICLASS,
        TORCH,
        threads=issues(PYTORCH, 70348, 116349, 8062, 50528, 65329, 107680, 11959, 63004) + issues("huggingface/transformers", 24725, 34191),
    ),
    Entry(F + "cross_entropy", MULTICLASS, TORCH, {"label_smoothing": 0.125}, issues(PYTORCH, 104776)),
    Entry(F + "gaussian_nll_loss", REGRESSION, TORCH),
    Entry(F + "huber_loss", REGRESSION, TORCH),
    Entry(F + "kl_div", MULTICLASS, TORCH | LOG_PREDICTION, threads=issues(PYTORCH, 2259, 14457)),
    Entry(F + "l1_loss", REGRESSION, TORCH),
    Entry(F + "linear_cross_entropy", MULTICLASS, TORCH, threads=issues(PYTORCH, 124480, 175039)),
    Entry(F + "mse_loss", REGRESSION, TORCH, threads=issues(PYTORCH, 4938, 16045)),
    Entry(F + "multi_margin_loss", MULTICLASS, TORCH),
    Entry(F + "nll_loss", MULTICLASS, TORCH | LOG_PREDICTION),
    Entry(F + "poisson_nll_loss", COUNT, TORCH),
    Entry(F + "poisson_nll_loss", COUNT, TORCH | PREDICTION, {"log_input": False}),
    Entry(F + "smooth_l1_loss", REGRESSION, TORCH),
    Entry(F + "soft_margin_loss", BINARY, TORCH, threads=issues(PYTORCH, 77529)),
)

OPTAX_LOSSES = (
    Entry(O + "convex_kl_divergence", MULTICLASS, JAX | LOG_PREDICTION),
    Entry(O + "generalized_kl_divergence", MULTICLASS, JAX | LOG_PREDICTION),
    Entry(O + "hinge_loss", BINARY, JAX),
    Entry(O + "huber_loss", REGRESSION, JAX, threads=issues(OPTAX, 1408)),
    Entry(O + "kl_divergence", MULTICLASS, JAX | LOG_PREDICTION),
    Entry(O + "l2_loss", REGRESSION, JAX),
    Entry(O + "log_cosh", REGRESSION, JAX),
    Entry(O + "multiclass_hinge_loss", MULTICLASS, JAX),
    Entry(O + "multiclass_perceptron_loss", MULTICLASS, JAX),
    Entry(O + "multiclass_sparsemax_loss", MULTICLASS, JAX),
    Entry(O + "perceptron_loss", BINARY, JAX),
    Entry(O + "poly_loss_cross_entropy", MULTICLASS, JAX),
    Entry(O + "safe_softmax_cross_entropy", MULTICLASS, JAX, threads=issues(OPTAX, 896, 1335)),
    Entry(O + "sigmoid_binary_cross_entropy", BINARY, JAX),
    Entry(O + "sigmoid_focal_loss", BINARY, JAX),
    Entry(O + "softmax_cross_entropy", MULTICLASS, JAX, threads=issues(OPTAX, 896, 1020)),
    Entry(O + "softmax_cross_entropy_with_integer_labels", MULTICLASS, JAX, threads=issues(OPTAX, 1185, 1020)),
    Entry(O + "sparsemax_loss", BINARY, JAX),
    Entry(O + "squared_error", REGRESSION, JAX),
)

SKLEARN_LOSSES = (
    Entry(SK + "AbsoluteError", REGRESSION, NUMPY),
    Entry(SK + "HalfBinomialLoss", BINARY, NUMPY),
    Entry("sklearn._loss.loss:ExponentialLoss", BINARY, NUMPY),
    Entry(SK + "HalfGammaLoss", POSITIVE, NUMPY),
    Entry(SK + "HalfMultinomialLoss", MULTICLASS, NUMPY, arguments={"n_classes": 3}, threads=issues(SKLEARN, 28046)),
    Entry(SK + "HalfPoissonLoss", COUNT, NUMPY),
    Entry(SK + "HalfSquaredError", REGRESSION, NUMPY),
    Entry(SK + "HalfTweedieLoss", COUNT, NUMPY, arguments={"power": 1.5}),
    Entry(SK + "HalfTweedieLoss", POSITIVE, NUMPY, arguments={"power": 2.5}),
    Entry(SK + "HalfTweedieLossIdentity", POSITIVE, NUMPY | PREDICTION, {"power": 1.5}),
    Entry(SK + "HuberLoss", REGRESSION, NUMPY, arguments={"delta": 1.0}),
    Entry(SK + "PinballLoss", REGRESSION, NUMPY, arguments={"quantile": 0.25}),
)

ENTMAX_LOSSES = (
    Entry(E + "sparsemax_loss", MULTICLASS, TORCH),
    Entry(E + "entmax15_loss", MULTICLASS, TORCH),
    Entry(E + "sparsemax_bisect_loss", MULTICLASS, TORCH),
    Entry(E + "entmax_bisect_loss", MULTICLASS, TORCH),
    Entry(E + "normmax_bisect_loss", MULTICLASS, TORCH),
    Entry(E + "SparsemaxLoss", MULTICLASS, TORCH),
    Entry(E + "Entmax15Loss", MULTICLASS, TORCH),
    Entry(E + "SparsemaxBisectLoss", MULTICLASS, TORCH),
    Entry(E + "EntmaxBisectLoss", MULTICLASS, TORCH),
    Entry(E + "NormmaxBisectLoss", MULTICLASS, TORCH),
)

STATSMODELS_FAMILIES = (
    Entry(SM + "Binomial", BINARY, NUMPY),
    Entry(SM + "Gamma", POSITIVE, NUMPY),
    Entry(SM + "Gaussian", REGRESSION, NUMPY),
    Entry(SM + "InverseGaussian", POSITIVE, NUMPY),
    Entry(SM + "NegativeBinomial", COUNT, NUMPY, arguments={"alpha": 1.0}),
    Entry(SM + "Poisson", COUNT, NUMPY),
    Entry(SM + "Tweedie", COUNT, NUMPY, arguments={"var_power": 1.5}),
)

SCORINGRULES = (
    Entry(SR + "brier_score", BINARY, SCORE),
    Entry(SR + "log_score", BINARY, SCORE),
    Entry(SR + "rls_score", MULTICLASS, SCORE, {"onehot": True}),
    Entry(SR + "rps_score", MULTICLASS, SCORE, {"onehot": True}),
    Entry(SR + "quantile_score", REGRESSION, OBSERVED_FIRST, {"alpha": 0.5}),
    Entry(SR + "crps_normal", REGRESSION, OBSERVED_FIRST, {"sigma": 1.0}),
    Entry(SR + "logs_normal", REGRESSION, OBSERVED_FIRST, {"sigma": 1.0}),
    Entry(SR + "crps_laplace", REGRESSION, OBSERVED_FIRST, {"scale": 1.0}),
    Entry(SR + "logs_laplace", REGRESSION, OBSERVED_FIRST, {"scale": 1.0}),
    Entry(SR + "crps_logistic", REGRESSION, OBSERVED_FIRST, {"sigma": 1.0}),
    Entry(SR + "logs_logistic", REGRESSION, OBSERVED_FIRST, {"sigma": 1.0}),
    Entry(SR + "crps_poisson", COUNT, SCORE),
    Entry(SR + "logs_poisson", COUNT, SCORE | NUMBERS),
    Entry(SR + "crps_lognormal", POSITIVE, LOG_SCALE, {"sigmalog": 1.0}),
    Entry(SR + "logs_lognormal", POSITIVE, LOG_SCALE, {"sigmalog": 1.0}),
)

MODEL_DIAGNOSTICS = (
    Entry(MD + "ElementaryScore", REGRESSION, SCORE | NUMBERS, arguments={"eta": 0.5}),
    Entry(MD + "GammaDeviance", POSITIVE, SCORE),
    Entry(MD + "HomogeneousExpectileScore", POSITIVE, SCORE, arguments={"degree": 1.5}),
    Entry(MD + "HomogeneousExpectileScore", REGRESSION, SCORE, arguments={"degree": 2, "level": 0.75}),
    Entry(MD + "HomogeneousQuantileScore", REGRESSION, SCORE, arguments={"degree": 1, "level": 0.5}),
    Entry(MD + "HomogeneousQuantileScore", REGRESSION, SCORE, arguments={"degree": 3, "level": 0.5}),
    Entry(MD + "LogLoss", BINARY, SCORE),
    Entry(MD + "PinballLoss", REGRESSION, SCORE, arguments={"level": 0.5}),
    Entry(MD + "PoissonDeviance", COUNT, SCORE),
    Entry(MD + "SquaredError", REGRESSION, SCORE),
)

LIBRARIES: dict[str, tuple[Entry, ...]] = {  # by the name of the package that has them
    "torch": TORCH_LOSSES,
    "optax": OPTAX_LOSSES,
    "scikit-learn": SKLEARN_LOSSES,
    "entmax": ENTMAX_LOSSES,
    "statsmodels": STATSMODELS_FAMILIES,
    "scoringrules": SCORINGRULES,
    "model-diagnostics": MODEL_DIAGNOSTICS,
}
THREADS = {"entmax": issues("deep-spin/entmax", 30), "scoringrules": issues("frazane/scoringrules", 132, 133)}  # of a library as a whole
ENTRIES = tuple(entry for entries in LIBRARIES.values() for entry in entries)
