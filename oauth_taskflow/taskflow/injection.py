"""Hides the session parameters of an ``@oauth_task`` function from Airflow while a DAG file is parsed.

Airflow checks a call against ``inspect.signature``, and copies and serialises the function by reference. The replacement
is therefore a plain function whose ``__signature__`` lacks the session. A callable object would break
``copy.deepcopy(dag)``.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from airflow.sdk.definitions.context import KNOWN_CONTEXT_KEYS

_ATTRIBUTE = "_oauth_parameters"
_Parameter = inspect.Parameter


def hide_session_parameters(
    function: Callable[..., Any], names: tuple[str, ...]
) -> Callable[..., Any]:
    """Returns a replacement of ``function`` without the parameters ``names``, which are filled when the task runs.

    Raises:
        TypeError: the function cannot take a session; the text says why and what to write.
    """
    if isinstance(function, types.FunctionType) and session_parameters(function):
        return function
    signature = _check_signature(function, names)
    # The user's globals let Airflow read the return annotation, from which it infers multiple_outputs.
    replacement = types.FunctionType(
        _refuse_outside_task.__code__, function.__globals__, function.__name__
    )
    functools.update_wrapper(replacement, function)
    kept = [p for name, p in signature.parameters.items() if name not in names]
    vars(replacement)["__signature__"] = signature.replace(parameters=kept)
    vars(replacement)[_ATTRIBUTE] = names
    return replacement


def session_parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The session parameters that a replacement hides; empty for any other function."""
    names: tuple[str, ...] = getattr(function, _ATTRIBUTE, ())
    return names


def unwrap(replacement: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind a replacement: at run time Airflow must see whether it is a generator."""
    function: Callable[..., Any] = vars(replacement)["__wrapped__"]
    return function


def bind_by_name(
    replacement: Callable[..., Any], args: Collection[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name. A session parameter may come first, so positions would be off by one."""
    bound = inspect.signature(replacement).bind_partial(*args)
    return {**bound.arguments, **kwargs}


def _check_signature(function: Callable[..., Any], names: tuple[str, ...]) -> inspect.Signature:
    problem, advice = _find_kind_problem(function)
    if problem:
        raise _build_refusal(function, problem, advice)
    signature = inspect.signature(function)
    for name in names:
        problem, advice = _find_name_problem(signature, name)
        if problem:
            raise _build_refusal(function, problem, advice)
    for parameter in signature.parameters.values():
        problem, advice = _find_parameter_problem(parameter)
        if problem:
            raise _build_refusal(function, problem, advice)
    return signature


def _build_refusal(function: Callable[..., Any], problem: str, advice: str) -> TypeError:
    named = getattr(function, "function", function)
    name = getattr(named, "__qualname__", type(function).__name__)
    return TypeError(f"@oauth_task cannot wrap {name}(): {problem}. {advice}")


def _find_kind_problem(function: Callable[..., Any]) -> tuple[str, str]:
    if hasattr(function, "operator_class"):
        return "it is a task already", "Keep one task decorator: @oauth_task, with conn_id."
    if not isinstance(function, types.FunctionType):
        return "it is not a plain function", "Write it with def at the top of the DAG file."
    if inspect.isasyncgenfunction(function):
        return (
            "it is an async generator, which Airflow does not run",
            "Return the result at the end instead of yielding it.",
        )
    return "", ""


def _find_name_problem(signature: inspect.Signature, name: str) -> tuple[str, str]:
    if name in KNOWN_CONTEXT_KEYS:
        return f"{name!r} is a key of Airflow's context", "Give the parameter another name."
    if name not in signature.parameters:
        return f"it has no parameter named {name!r}", f"Add it, as in def f({name}: OAuthSession)."
    if signature.parameters[name].default is not _Parameter.empty:
        return f"{name!r} has a default, which would never be used", "Remove the default."
    return "", ""


def _find_parameter_problem(parameter: inspect.Parameter) -> tuple[str, str]:
    if parameter.name == "self":
        return "it is a method", "Decorate a function: a method cannot be a task."
    if parameter.kind is _Parameter.VAR_POSITIONAL:
        return f"it takes *{parameter.name}", "Name each argument."
    if parameter.kind is _Parameter.POSITIONAL_ONLY:
        return f"{parameter.name!r} is positional-only", "Remove the slash from the signature."
    return "", ""


def _refuse_outside_task(*_args: Any, **_kwargs: Any) -> NoReturn:
    # This code runs with the user's globals: builtins are all it can name.
    raise RuntimeError("An @oauth_task function runs inside a task only; call it within a DAG.")
