"""What a person passes to an audit, as a function of a prediction and a target that can be called, differentiated and quoted."""

from __future__ import annotations

import ast
import copy
import functools
import importlib
import inspect
import itertools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from matchloss.losses import Loss

KIND_OF = {"regression": "regression", "binary": "binary", "positive": "positive", "simplex": "multiclass"}  # of the catalogue


@dataclass(frozen=True)
class Promises:
    """What a loss says of itself: True, False, or None where it says nothing."""

    smooth: bool | None = None  # the gradient is continuous in raw
    convex: bool | None = None
    proper: bool | None = None
    matching: bool | None = None
    linear_in_target: bool | None = None
    zero_iff_right: bool | None = None

    @classmethod
    def of(cls, said: Any) -> Promises:
        """From None, a mapping, a loss of the catalogue, or promises."""
        if said is None or isinstance(said, Promises):
            return said or cls()
        known = {f.name for f in fields(cls)}
        if isinstance(said, Mapping):
            if unknown := set(said) - known:
                raise ValueError(f"promises name {sorted(unknown)!r}; allowed: {sorted(known)!r}")
            return cls(**said)
        return cls(**{name: bool(getattr(said, name)) for name in known})


@dataclass(frozen=True)
class Callee:
    """A function of two arrays and options, and how Python text calls it."""

    call: Callable[..., Any]  # (first, second, *others, **options)
    name: str
    setup: str = ""  # Python that makes `fn`; empty where it cannot be imported
    text: str = "fn"  # what stands before the brackets
    names: tuple[str, ...] = ()  # of the arrays that must be given by keyword; "" for those that need not
    parameters: Mapping[str, inspect.Parameter] = field(default_factory=dict)  # of the arguments, then of the options; empty: not known
    options: Mapping[str, Any] = field(default_factory=dict)  # defaults of keywords
    gradient: Callable[..., Any] | None = None  # as `call`
    hessian: Callable[..., Any] | None = None
    promises: Promises = Promises()
    given: Mapping[str, Any] = field(default_factory=dict)  # parts of the convention that the object settles
    predict: Callable[[Any], Any] | None = None  # raw -> prediction, NumPy
    methods: Mapping[str, str] = field(default_factory=dict)  # how Python calls its gradient and hessian, where not as fn.hessian({})
    made: Mapping[str, str] | None = None  # `fn` is a class: what it is made with, as Python
    makes: frozenset[str] = frozenset()  # the options that go there
    part: str = ""  # of what is returned, as Python after the call

    def quote(self, arrays: tuple[str, ...], options: Mapping[str, str], method: str = "") -> str:
        """The call as Python."""
        named = [f"{n}={a}" if n else a for n, a in itertools.zip_longest(self.names[: len(arrays)], arrays, fillvalue="")]
        called = self.text
        if self.made is not None:
            called = f"{self.text}({_keywords({**self.made, **{k: v for k, v in options.items() if k in self.makes}})})"
            options = {k: v for k, v in options.items() if k not in self.makes}
        inside = ", ".join(filter(None, [*named, _keywords(options)]))
        return self.methods.get(method, f"fn.{method}({{}})").format(inside) if method else f"{called}({inside}){self.part}"

    def picked(self, part: str) -> Callee:
        """The same, of which a part of what it returns is the loss: "[0]", "['loss']", ".loss"."""
        if not part:
            return self
        pick = operator.attrgetter(part[1:]) if part.startswith(".") else operator.itemgetter(ast.literal_eval(part[1:-1]))
        whole = self.call

        def call(*arrays: Any, **options: Any) -> Any:
            return pick(whole(*arrays, **options))

        return replace(self, call=call, part=part)


def _keywords(options: Mapping[str, str]) -> str:
    return ", ".join(f"{k}={v}" for k, v in options.items())


def callee_of(fn: Any, framework: str | None = None) -> Callee:
    """TypeError for what cannot be called as a loss."""
    if isinstance(fn, type):
        return _of_class(fn, framework)
    if isinstance(fn, Loss):
        return _of_catalogue(fn, framework)
    for fits, make in ADAPTERS:
        if fits(fn):
            return make(fn)
    method = "" if callable(fn) else next((m for m in ("call", "forward", "loss") if callable(getattr(fn, m, None))), "")
    if not callable(fn) and not method:
        raise TypeError(f"{fn!r} is no function, and has no method value(raw, target)")
    own = getattr(fn, method) if method else fn
    parameters, options = _signature(own)
    names = tuple(n if p.kind is inspect.Parameter.KEYWORD_ONLY else "" for n, p in parameters.items())

    def by_position(*arrays: Any, **options: Any) -> Any:
        given = list(itertools.zip_longest(names[: len(arrays)], arrays, fillvalue=""))
        return own(*(a for n, a in given if not n), **{n: a for n, a in given if n}, **options)

    call, names = (by_position, names) if any(names) else (own, ())
    plain = inspect.isroutine(fn) or isinstance(fn, functools.partial)
    setup = _instance_text(fn) if method else import_text(fn) or ("" if plain else _instance_text(fn))
    return Callee(call, _name(fn), setup, f"fn.{method}" if method else "fn", names, parameters, options)


def _of_class(made: type, framework: str | None) -> Callee:
    """A class is audited as its instance; a loss module is made anew for each choice of its options."""
    _, options = _signature(made)
    try:
        taken = inspect.signature(made).parameters
        must = {n for n, p in taken.items() if p.default is inspect.Parameter.empty}
        instance = made(**dict.fromkeys(taken.keys() & {"n_classes"} | must & {"num_classes"}, 3))
    except TypeError as error:
        raise TypeError(f"{made.__name__}() cannot be made without arguments ({error}); audit an instance of it") from error
    inner = callee_of(instance, framework)
    if not hasattr(made, "forward"):
        return inner
    kept = {k: v for k, v in options.items() if k not in inner.parameters}

    def call(*arrays: Any, **given: Any) -> Any:
        own = {k: v for k, v in given.items() if k in kept}
        return made(**own)(*arrays, **{k: v for k, v in given.items() if k not in kept})

    return Callee(
        call, made.__name__, *(_imported(made) if _imported(made)[0] else ("", "fn")),
        parameters=inner.parameters, options={**kept, **inner.options}, made={}, makes=frozenset(kept),
    )  # fmt: skip


RAW = {"order": "prediction, target", "input": "raw", "reduction": "none"}  # what such objects settle: (raw, target),
MEAN = {"order": "target, prediction", "input": "prediction", "reduction": "none"}  # or (target, mean)


def _of_catalogue(loss: Loss, framework: str | None) -> Callee:
    kind, promises, domain = KIND_OF.get(loss.family), Promises.of(loss), loss.target_domain
    if kind == "positive" and getattr(domain, "low", None) == 0 and 0.0 in domain:
        kind = "count"
    given = RAW | ({} if kind is None else {"kind": kind})
    setup = f"import matchloss as ml\n\nfn = ml.{loss!r}" if loss.name else ""
    if framework in ("torch", "jax"):
        host = importlib.import_module(f"matchloss.{framework}")
        more = {"reduction": "none"} if framework == "torch" else {}

        def call(raw: Any, target: Any, **given: Any) -> Any:
            return host.loss(loss, raw, target, **{**more, **given})

        imports = f"from functools import partial\n\nimport matchloss as ml\nfrom matchloss.{framework} import loss"
        setup = setup and f"{imports}\n\nfn = partial(loss, ml.{loss!r})"
        options = {"sample_weight": None, **more}
        return Callee(call, f"{loss!r} in {framework}", setup, options=options, promises=promises, given=given, predict=loss.predict)

    def value(raw: Any, target: Any, sample_weight: Any = None) -> Any:
        return loss.evaluate(raw, target, sample_weight, gradient=False).value

    return Callee(
        value, repr(loss), setup, "fn.value", options={"sample_weight": None}, gradient=loss.gradient, hessian=loss.hessian,
        promises=promises, given=given, predict=loss.predict,
    )  # fmt: skip


def _of_sklearn(loss: Any) -> Callee:
    classes = {"kind": "multiclass"} if getattr(loss, "is_multiclass", False) else {}
    given = {"order": "prediction, target", "reduction": "none", "weight_argument": "sample_weight", **classes}

    def by_name(method: Callable[..., Any], pick: Callable[[Any], Any] = lambda out: out) -> Callable[..., Any]:
        return lambda raw, target, **options: pick(method(y_true=target, raw_prediction=raw, **options))

    predict = None if getattr(loss, "link", None) is None else loss.link.inverse
    return Callee(
        by_name(loss.loss), type(loss).__name__, _instance_text(loss), "fn.loss", ("raw_prediction", "y_true"),
        options={"sample_weight": None}, gradient=by_name(loss.gradient), given=given, predict=predict,
        hessian=by_name(loss.gradient_hessian, operator.itemgetter(1)), methods={"hessian": "fn.gradient_hessian({})[1]"},
    )  # fmt: skip


def _of_family(family: Any) -> Callee:
    """statsmodels: half the unit deviance at a mean."""

    def call(target: Any, mean: Any) -> Any:
        return 0.5 * family.resid_dev(target, mean) ** 2

    made = _instance_text(family)
    setup = made and f"{made.replace('fn = ', 'family = ')}\nfn = lambda y, mean: 0.5 * family.resid_dev(y, mean) ** 2"
    return Callee(call, type(family).__name__, setup, given=MEAN | {"framework": "numpy"})


def _of_norm(norm: Any) -> Callee:
    """statsmodels' robust norms: rho of a residual, and its derivatives."""
    made = _instance_text(norm)
    setup = made and f"{made.replace('fn = ', 'norm = ')}\nfn = lambda raw, target: norm.rho(raw - target)"

    def of_residual(rho: Callable[..., Any]) -> Callable[..., Any]:
        return lambda raw, target: rho(raw - target)

    named = {"gradient": "psi", "hessian": "psi_deriv"}
    own: dict[str, Any] = {method: of_residual(getattr(norm, name)) for method, name in named.items()}
    methods = {method: f"(lambda raw, target: norm.{name}(raw - target))({{}})" for method, name in named.items()}
    given = RAW | {"framework": "numpy", "kind": "regression"}
    return Callee(of_residual(norm.rho), type(norm).__name__, setup, given=given, methods=methods, **own)


def _of_object(loss: Any) -> Callee:
    """Methods value, gradient and hessian of (raw, target)."""
    parameters, options = _signature(loss.value)
    own: dict[str, Any] = {name: getattr(loss, name, None) for name in ("gradient", "hessian")}
    return Callee(loss.value, _name(loss), _instance_text(loss), "fn.value", parameters=parameters, options=options, **own)


def _of_module(module: Any) -> Callee:
    """An instance of torch.nn.Module; options that are its attributes are set on a copy."""
    parameters, options = _signature(module.forward)
    own = {k: v for k, v in vars(module).items() if not k.startswith("_") and k not in parameters and k != "training"}

    def call(*arrays: Any, **given: Any) -> Any:
        used = module
        if changed := {k: v for k, v in given.items() if k in own}:
            used = copy.copy(module)
            used.__dict__ = {**module.__dict__, **changed}
        return used(*arrays, **{k: v for k, v in given.items() if k not in own})

    arguments = _arguments_of(module)
    line, text = ("", "fn") if arguments is None else _imported(type(module))
    return Callee(
        call, type(module).__name__, line, text or "fn", parameters=parameters, options={**own, **options},
        made=arguments if line else None, makes=frozenset(own if line else ()),
    )  # fmt: skip


ADAPTERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Callee]], ...] = (
    (lambda x: hasattr(x, "gradient_hessian") and hasattr(x, "loss"), _of_sklearn),
    (lambda x: hasattr(x, "resid_dev") and hasattr(x, "variance"), _of_family),
    (  # of model-diagnostics
        lambda x: hasattr(x, "score_per_obs"),
        lambda x: Callee(x.score_per_obs, type(x).__name__, _instance_text(x), "fn.score_per_obs", given=MEAN),
    ),
    (lambda x: hasattr(x, "rho") and hasattr(x, "psi_deriv"), _of_norm),
    (lambda x: hasattr(x, "forward") and hasattr(x, "register_forward_hook"), _of_module),
    (lambda x: callable(getattr(x, "value", None)), _of_object),
)


def _signature(fn: Any) -> tuple[dict[str, inspect.Parameter], dict[str, Any]]:
    """The parameters without a default, and the options with theirs."""
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return {}, {}
    P = inspect.Parameter
    required = {n: p for n, p in parameters.items() if p.default is P.empty and p.kind not in (P.VAR_POSITIONAL, P.VAR_KEYWORD)}
    return required, {n: p.default for n, p in parameters.items() if p.default is not P.empty}


def _name(fn: Any) -> str:
    if isinstance(fn, functools.partial):
        return f"{_name(fn.func)}({_fixed(fn)})"
    return getattr(fn, "__qualname__", None) or type(fn).__name__


def _fixed(fn: functools.partial[Any]) -> str:
    return ", ".join([*map(repr, fn.args), *(f"{k}={v!r}" for k, v in fn.keywords.items())])


def import_text(fn: Any) -> str:
    """Python that makes it `fn`; empty where that gives something else."""
    if isinstance(fn, functools.partial):
        line, name = _imported(fn.func)
        return f"from functools import partial\n\n{line}\n\nfn = partial({name}, {_fixed(fn)})" if line else ""
    line, name = _imported(fn)
    return line and (f"{line}\n\nfn = {name}" if "." in name else f"{line} as fn")


def _imported(fn: Any) -> tuple[str, str]:
    """An import of a function or class, and its name then; empty where importing that name gives something else."""
    module, path = getattr(fn, "__module__", None), getattr(fn, "__qualname__", "")
    if not module or not path or "<" in path or module == "__main__":
        return "", ""
    top, *names = path.split(".")
    modules = [".".join(module.split(".")[:i]) for i in range(1, module.count(".") + 2)]
    try:
        found = [m for m in modules if functools.reduce(lambda o, p: getattr(o, p, None), [top, *names], importlib.import_module(m)) is fn]
    except Exception:  # a module that cannot be imported by its own name
        return "", ""
    found.sort(key=lambda m: "._" in f".{m}")  # the public first
    return (f"from {found[0]} import {top}", path) if found else ("", "")


def _instance_text(instance: Any) -> str:
    """Python that makes an equal object; empty where that is not known."""
    (line, name), arguments = _imported(type(instance)), _arguments_of(instance)
    return f"{line}\n\nfn = {name}({_keywords(arguments)})" if line and arguments is not None else ""


def _arguments_of(instance: Any) -> dict[str, str] | None:
    """What its constructor was given besides defaults, read from attributes of the same names; None where that cannot be written."""
    try:
        parameters = inspect.signature(type(instance)).parameters
    except (TypeError, ValueError):
        return {}
    found: dict[str, str] = {}
    for name, parameter in parameters.items():
        inner = getattr(instance, "closs", None)  # scikit-learn's compiled half
        value = vars(instance).get(name, getattr(inner, name, None)) if hasattr(instance, "__dict__") else getattr(instance, name, None)
        if value is None:
            continue
        if not isinstance(value, bool | int | float | str):
            return None
        if parameter.default is inspect.Parameter.empty or value != parameter.default:
            found[name] = repr(value)
    return found
