"""Functions of other libraries, outside of the ledger: how each is called, what is wrong with it, with evidence. Written before any audit.

Versions: keras 3.15.1 (KERAS_BACKEND=torch), torchmetrics 1.9.0, scikit-learn 1.9.1, kornia 0.9.0, segmentation_models_pytorch 0.6.0,
transformers 5.24.0, monai 1.6.1, statsmodels 0.15.0, lifelines 0.30.3, pytorch-metric-learning 2.9.0, torch 2.13.0. What is
missing under `wrong` was looked at and found sound: values and gradients at raw outputs of up to 1e4 (float64) and 50 (half types), and
means of 70,000 rows in half types.
"""

from __future__ import annotations

from benchmarks.audit_cases.case import Case, Reading, Wrong, names
from benchmarks.audit_cases.readings import LABELS, classes, label, number, positive

KERAS, TM, SM = "keras.losses:", "torchmetrics.functional.", "statsmodels.tools.eval_measures:"
SK, KORNIA, SMP = "sklearn.metrics:", "kornia.losses:", "segmentation_models_pytorch.losses:"
TF, MONAI, FAMILY = "transformers.loss.", "monai.losses", "statsmodels.genmod.families:"
LIFE, PML = "lifelines.", "pytorch_metric_learning.losses:"
TARGET_FIRST = "target, prediction"
EITHER = names("mean, none")  # Keras reduces the last axis: (N,) to their mean, (N, 1) to rows
BOTH = "(N,) and (N,), reduced to their mean, or (N, 1) and (N, 1), reduced to rows"
SUMMED = Wrong(
    names("reductions"),
    'reduction="sum" gives the mean where there are no axes but rows and classes: the mean over no axes is the mean over all.',
    "(lambda *rows: type(fn)(reduction='sum')(*rows) == type(fn)()(*rows))(tensor([[1.0], [2.0]]), tensor([[1.0], [0.0]])).item()",
    told=True,
)
COUPLED = "a score of the whole batch: a row's share in it depends on the other rows"
EMBEDDINGS = "its first argument are embeddings, which it compares with each other; there is no prediction of the label"
SURVIVAL = "a statistic of two samples, not a loss of a prediction"
ROWS = "torch.full((70000,), 2.0, dtype=torch.float16), torch.ones(70000, dtype=torch.float16)"
HALF_MEAN = Wrong(
    names("reductions, finite, dtype, accuracy"),
    "The mean of 70,000 rows in float16 is inf: it sums before it divides.",
    f"torch.isinf(fn({ROWS})).item() and float(fn(*(r.float() for r in ({ROWS})))) == 1",
)
CLIPPED = "Probabilities are clipped to [1e-7, 1 - 1e-7], beyond which the value stays where it is and the gradient is 0."

KERAS_CASES = (
    Case("keras", KERAS + "mean_squared_error", number("either", "mean, none", shapes=BOTH)),
    Case(
        "keras",
        KERAS + "mean_absolute_percentage_error",
        Reading(names("regression, positive"), names("numbers"), names("raw, prediction"), TARGET_FIRST, EITHER, shapes=BOTH),
    ),
    Case("keras", KERAS + "mean_squared_logarithmic_error", positive("either", "mean, none", shapes=BOTH)),
    Case("keras", KERAS + "huber", number("either", "mean, none", shapes=BOTH)),
    Case("keras", KERAS + "log_cosh", number("either", "mean, none", shapes=BOTH)),
    Case("keras", KERAS + "poisson", positive(TARGET_FIRST, "mean, none", shapes=BOTH)),
    Case(
        "keras",
        KERAS + "hinge",
        Reading(names("binary"), LABELS | names("signs"), names("raw"), TARGET_FIRST, EITHER, shapes=BOTH),
    ),
    Case(
        "keras",
        KERAS + "binary_crossentropy",
        label(TARGET_FIRST, "mean, none", "prediction", shapes=BOTH),
        wrong=(
            Wrong(
                names("accuracy, gradient, minimum, jumps, finite, proper, domain"),
                CLIPPED,
                "abs(float(fn(tensor([1.0]), tensor([1e-9]))) - 20.723) > 1 "
                "and float(slope(lambda p: fn(tensor([1.0]), p), tensor([1e-9]))) == 0",
            ),
            Wrong(
                names("gradient, finite"),
                "In float16 1 - 1e-7 is 1: behind a sigmoid a logit of 20 for a target of 0 has a gradient of NaN.",
                "torch.isnan(slope(lambda z: fn(tensor([0.0]).half(), torch.sigmoid(z)), tensor([20.0]).half())).item()",
            ),
        ),
    ),
    Case(
        "keras",
        KERAS + "categorical_crossentropy",
        classes("distributions", TARGET_FIRST, "none", shapes="(N, C) and (N, C)"),
        {"from_logits": True},
    ),
    Case("keras", KERAS + "sparse_categorical_crossentropy", classes("labels", TARGET_FIRST, "none"), {"from_logits": True}),
    Case(
        "keras",
        KERAS + "kl_divergence",
        classes("distributions", TARGET_FIRST, "none", "prediction", "(N, C) and (N, C)"),
        wrong=(
            Wrong(
                names("accuracy, gradient, minimum, jumps, finite, proper, limits, domain"),
                CLIPPED,
                "float(slope(lambda q: fn(tensor([[1.0, 0.0]]), q), tensor([[1e-9, 1.0]]))[0, 0]) == 0",
            ),
        ),
    ),
    Case("keras", KERAS + "dice", None, why=COUPLED, whole=True),
    Case(
        "keras",
        KERAS + "cosine_similarity",
        None,
        why="it compares directions of vectors; no distribution, no label, no number",
        whole=True,
    ),
)

TORCHMETRICS_CASES = (
    Case(
        "torchmetrics",
        TM + "regression:mean_squared_error",
        number("either"),
        wrong=(HALF_MEAN,),
    ),
    Case(
        "torchmetrics",
        TM + "regression:mean_absolute_percentage_error",
        Reading(names("regression, positive"), names("numbers"), names("raw, prediction"), "prediction, target", names("mean")),
        wrong=(HALF_MEAN,),
    ),
    Case("torchmetrics", TM + "regression:mean_squared_log_error", positive("either")),
    Case(
        "torchmetrics",
        TM + "regression:log_cosh_error",
        number("either"),
        wrong=(
            Wrong(
                names("finite, limits, gradient, minimum, jumps, dtype, convex, reductions"),
                "exp of the difference overflows: inf from 710 on in float64, 89 in float32, 12 in float16; the gradient is NaN.",
                "all(torch.isinf(fn(tensor([d], dtype=t), tensor([0.0], dtype=t))) for d, t in "
                "((711.0, torch.float64), (90.0, torch.float32), (12.0, torch.float16)))",
            ),
            Wrong(
                names("hessian"),
                "Differentiated twice it overflows from 355 on: the second derivative is 1 there.",
                "torch.autograd.functional.hessian(lambda x: fn(x, tensor([0.0]).double()), tensor([500.0]).double()).item() > 0.5",
                told=True,
            ),
        ),
    ),
    Case("torchmetrics", TM + "regression:tweedie_deviance_score", positive("prediction, target"), {"power": 1.5}),
    Case(
        "torchmetrics",
        TM + "regression:kl_divergence",
        classes("distributions", TARGET_FIRST, "mean", "prediction", "(N, C) and (N, C)"),
        wrong=(
            Wrong(
                names("gradient, finite"),
                "Where a class has no mass in the target the gradient is NaN: the masked 0 log 0 is differentiated through.",
                "torch.isnan(slope(lambda q: fn(tensor([[0.0, 1.0]]), q), tensor([[0.5, 0.5]]))).any().item()",
            ),
            Wrong(
                names("reductions, finite, dtype, accuracy"),
                "The mean of 140,000 rows in float16 is inf: it sums before it divides.",
                "torch.isinf(fn(tensor([[1.0, 0.0]] * 140000).half(), torch.full((140000, 2), 0.5).half())).item()",
            ),
        ),
    ),
    Case(
        "torchmetrics",
        TM + "classification:binary_hinge_loss",
        None,
        why="a batch with one prediction outside of [0, 1] is sent through a sigmoid as a whole: rows depend on each other",
    ),
    Case("torchmetrics", TM + "regression:r2_score", None, why=COUPLED, whole=True),
)

SKLEARN_CASES = (
    Case("scikit-learn", SK + "mean_squared_error", number("either")),
    Case("scikit-learn", SK + "mean_squared_log_error", positive("either")),
    Case(
        "scikit-learn",
        SK + "mean_absolute_percentage_error",
        Reading(names("regression, positive"), names("numbers"), names("raw, prediction"), TARGET_FIRST, names("mean")),
    ),
    Case("scikit-learn", SK + "mean_pinball_loss", number(TARGET_FIRST), {"alpha": 0.25}),
    Case("scikit-learn", SK + "mean_poisson_deviance", positive(TARGET_FIRST)),
    Case("scikit-learn", SK + "mean_gamma_deviance", positive(TARGET_FIRST)),
    Case(
        "scikit-learn",
        SK + "log_loss",
        label(TARGET_FIRST, input="prediction"),
        {"labels": [0, 1]},
        wrong=(
            Wrong(
                names("accuracy, minimum, jumps, finite, limits, domain"),
                "Probabilities are clipped to the dtype's eps (documented): a certain and wrong prediction has a finite loss.",
                "abs(fn(np.array([1.0]), np.array([1e-20])) - 46.05) > 1",
            ),
        ),
    ),
    Case("scikit-learn", SK + "brier_score_loss", label(TARGET_FIRST, input="prediction"), {"labels": [0, 1]}),
    Case("scikit-learn", SK + "r2_score", None, why=COUPLED, whole=True),
    Case("scikit-learn", SK + "median_absolute_error", None, why=COUPLED, whole=True),
    Case("scikit-learn", SK + "root_mean_squared_error", None, why=COUPLED, whole=True),
    Case("scikit-learn", SK + "zero_one_loss", None, why="its predictions are labels, not numbers"),
)

IGNORED = "Rows with the ignored label count in the mean{}."
KORNIA_CASES = (
    *(
        Case("kornia", KORNIA + name, number("either", "none"))
        for name in ("charbonnier_loss", "cauchy_loss", "welsch_loss", "geman_mcclure_loss")
    ),
    Case(
        "kornia",
        KORNIA + "binary_focal_loss_with_logits",
        label("prediction, target", "none", shapes="(N, 1) and (N, 1)"),
        wrong=(
            Wrong(
                names("weights, reductions, domain"),
                IGNORED.format(" (documented)"),
                "abs(float(fn(tensor([[0.0], [1.0]]), tensor([[1.0], [-100.0]]), reduction='mean')) * 2 "
                "- float(fn(tensor([[0.0]]), tensor([[1.0]]), reduction='mean'))) < 1e-6",
            ),
        ),
    ),
    Case(
        "kornia",
        KORNIA + "focal_loss",
        classes("labels", reduction="none"),
        {"alpha": 0.25},
        wrong=(
            Wrong(
                names("weights, reductions, domain"),
                IGNORED.format(" (documented)"),
                "abs(float(fn(tensor([[0.0, 1.0]] * 2), tensor([0, -100]), reduction='mean')) * 2 "
                "- float(fn(tensor([[0.0, 1.0]]), tensor([0]), reduction='mean'))) < 1e-6",
            ),
        ),
    ),
    # Was written down as coupled. Of a softmax, over all classes and pixels, it is the mean over pixels of 1 - p(label), and so it is read.
    Case("kornia", KORNIA + "dice_loss", classes("labels", shapes="(N, C, H, W) and (N, H, W)")),
    Case("kornia", KORNIA + "lovasz_hinge_loss", None, why=COUPLED, whole=True),
)

SMP_CASES = (
    Case(
        "segmentation_models_pytorch",
        SMP + "SoftBCEWithLogitsLoss",
        label(),
        wrong=(
            Wrong(
                names("weights, reductions, domain"),
                IGNORED.format(""),
                "abs(float(fn(tensor([1.0, 2.0]), tensor([1.0, -100.0]))) * 2 - float(fn(tensor([1.0]), tensor([1.0])))) < 1e-6",
            ),
        ),
    ),
    Case(
        "segmentation_models_pytorch",
        SMP + "SoftCrossEntropyLoss",
        classes("labels"),
        {"smooth_factor": 0.1},
        wrong=(
            Wrong(
                names("weights, reductions, domain"),
                IGNORED.format(""),
                "abs(float(fn(tensor([[0.0, 1.0]] * 2), tensor([0, -100]))) * 2 - float(fn(tensor([[0.0, 1.0]]), tensor([0])))) < 1e-6",
            ),
        ),
    ),
    Case("segmentation_models_pytorch", SMP + "FocalLoss", label(), {"mode": "binary"}),
    Case(
        "segmentation_models_pytorch",
        SMP + "FocalLoss",
        classes("labels"),
        {"mode": "multiclass"},
        wrong=(
            Wrong(
                names("invariance, proper, minimum"),
                "Multiclass is one sigmoid a class: a shift of all logits changes the value.",
                "abs(float(fn(tensor([[0.0, 1.0]]), tensor([0]))) - float(fn(tensor([[1.0, 2.0]]), tensor([0])))) > 0.1",
            ),
        ),
    ),
    Case("segmentation_models_pytorch", SMP + "DiceLoss", None, {"mode": "binary"}, why=COUPLED, whole=True),
    Case("segmentation_models_pytorch", SMP + "JaccardLoss", None, {"mode": "multiclass"}, why=COUPLED, whole=True),
    Case(
        "segmentation_models_pytorch",
        SMP + "SoftCrossEntropyLoss",
        None,
        why="made without arguments every call raises a TypeError: smooth_factor=None is divided by the number of classes",
    ),
)

TRANSFORMERS_CASES = (
    Case(
        "transformers",
        TF + "loss_utils:fixed_cross_entropy",
        classes("labels, labels or distributions"),
        wrong=(
            Wrong(
                names("reductions, finite, dtype, accuracy"),
                "PyTorch's own mean in float16: of 70,000 rows it is NaN.",
                "torch.isnan(fn(torch.zeros(70000, 3, dtype=torch.float16), torch.zeros(70000, dtype=torch.int64))).item()",
            ),
        ),
    ),
    Case("transformers", TF + "loss_utils:ForMaskedLMLoss", classes("labels"), {"vocab_size": 3}),
    Case("transformers", TF + "loss_grounding_dino:sigmoid_focal_loss", label(reduction="sum"), {"num_boxes": 1}),
    Case(
        "transformers",
        TF + "loss_rf_detr:sigmoid_cross_entropy_loss",
        label(reduction="sum", shapes="(N, 1) and (N, 1)"),
        {"num_masks": 1},
    ),
    Case("transformers", TF + "loss_lsd:end_of_speech_loss", label()),
    Case("transformers", TF + "loss_utils:ForCausalLMLoss", None, {"vocab_size": 3}, why="a row is judged by the next row's label"),
    Case(
        "transformers", "transformers.trainer_pt_utils:LabelSmoother", None, why="it takes a model's output, a dict or a tuple of tensors"
    ),
)

MONAI_CASES = (
    Case(
        "monai",
        MONAI + ":FocalLoss",
        Reading(
            names("binary, multiclass"), LABELS | names("distributions"), names("raw"), reduction=names("mean"),
            shapes="(N, 1) and (N, 1), or (N, C) and one-hot (N, C)",
        ),
        wrong=(SUMMED,),
    ),
    Case(
        "monai",
        MONAI + ":FocalLoss",
        classes("labels", shapes="(N, C) and (N, 1)"),
        {"use_softmax": True, "to_onehot_y": True},
        wrong=(SUMMED,),
    ),
    Case("monai", MONAI + ".focal_loss:sigmoid_focal_loss", label(reduction="none")),
    Case("monai", MONAI + ".focal_loss:softmax_focal_loss", classes("distributions", reduction="none", shapes="(N, C) and (N, C)")),
    Case("monai", MONAI + ":DiceLoss", None, {"sigmoid": True}, why=COUPLED, whole=True),
    Case("monai", MONAI + ":ContrastiveLoss", None, why=EMBEDDINGS, whole=True),
)  # fmt: skip

STATSMODELS_CASES = (
    Case("statsmodels", SM + "mse", number("either")),
    Case("statsmodels", SM + "meanabs", number("either")),
    Case("statsmodels", SM + "rmse", None, why=COUPLED, whole=True),
    Case("statsmodels", SM + "bias", None, why="a signed mean difference: it has no minimum"),
    Case(
        "statsmodels",
        FAMILY + "Poisson",
        Reading(names("count, positive"), names("numbers"), names("prediction"), TARGET_FIRST, names("none"), -1),
        method="loglike_obs",
    ),
    Case("statsmodels", FAMILY + "Gamma", positive(TARGET_FIRST, "sum"), method="deviance"),
    Case(
        "statsmodels",
        FAMILY + "Binomial",
        Reading(names("binary"), LABELS, names("prediction"), TARGET_FIRST, names("none"), -1),
        method="loglike_obs",
        wrong=(
            Wrong(
                names("accuracy, minimum, jumps, finite, limits, domain"),
                "The odds are clipped: below a probability of 1e-20 the log likelihood stays at -46.",
                "abs(float(fn(np.array([1.0]), np.array([1e-30]))[0]) + 69.08) > 1",
            ),
        ),
    ),
)

LIFELINES_CASES = (
    Case("lifelines", LIFE + "utils:concordance_index", None, why=COUPLED, whole=True),
    Case("lifelines", LIFE + "utils.concordance:somers_d", None, why=COUPLED, whole=True),
    Case("lifelines", LIFE + "utils:pearson_correlation", None, why=COUPLED, whole=True),
    Case("lifelines", LIFE + "statistics:logrank_test", None, why=SURVIVAL),
    Case("lifelines", LIFE + "utils:qth_survival_times", None, why="it reads a curve at given levels"),
)

METRIC_LEARNING_CASES = (
    *(
        Case("pytorch-metric-learning", PML + name, None, why=EMBEDDINGS, whole=True)
        for name in ("ContrastiveLoss", "TripletMarginLoss", "NTXentLoss", "MultiSimilarityLoss")
    ),
    Case(
        "pytorch-metric-learning",
        PML + "ArcFaceLoss",
        None,
        {"num_classes": 3, "embedding_size": 3},
        why="its first argument are embeddings; the logits are made inside, with weights of its own",
    ),
)

CASES: tuple[Case, ...] = (
    *KERAS_CASES,
    *TORCHMETRICS_CASES,
    *SKLEARN_CASES,
    *KORNIA_CASES,
    *SMP_CASES,
    *TRANSFORMERS_CASES,
    *MONAI_CASES,
    *STATSMODELS_CASES,
    *LIFELINES_CASES,
    *METRIC_LEARNING_CASES,
)
