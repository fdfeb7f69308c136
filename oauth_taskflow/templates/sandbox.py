"""Jinja's sandbox with bounds: no template may take all memory or all time, however it is written.

A spec's author is trusted, but ``{{ [1] * 99999999 }}`` would stop the process that loads or renders it. Constant
expressions are computed when the template is rendered, never when it is compiled, and their size is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from functools import wraps
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_LENGTH = 1_000_000
"""The most characters of a text, or items of a list, that a template may make, and the most steps it may take."""

# A call takes as long as this many turns of a loop.
_CALL = 50
_MAX_BITS = 4096
_MAX_WIDTH = 10_000
# Filters and methods whose result is as long as an argument says.
_WIDTH_FILTERS = ("center", "indent", "batch", "slice", "tojson", "wordwrap")
_WIDTH_METHODS = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs", "to_bytes"})


def _send_through_counters(tree: nodes.Template) -> None:
    """Sends the items of loops, and the operands of ``~``, through filters that count."""
    for loop in tree.find_all(nodes.For):
        loop.iter = _apply_filter(loop.iter, "_counted")
    for joined in tree.find_all(nodes.Concat):
        joined.nodes = [_apply_filter(nodes.List(joined.nodes), "_joined")]


def _apply_filter(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which ``contact.items`` is the record's field ``items`` before it is Python's method."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, finalize: Callable[[Any], Any], **options: Any) -> None:
        @pass_context
        def finalize_and_count(context: Any, value: Any) -> Any:
            final = finalize(value)
            _count(context, len(final) if isinstance(final, str) else 1)
            return final

        # Compiles without computing: not optimized, and with a context that is there at run time only.
        super().__init__(optimized=False, finalize=finalize_and_count, **options)
        for name in _WIDTH_FILTERS:
            self.filters[name] = _limit_widths(self.filters[name])
        self.filters["replace"] = _limit_replace(self.filters["replace"])
        self.filters["join"] = _limit_join(self.filters["join"])
        self.filters["format"] = _limit_format(self.filters["format"])
        self.filters |= {"_counted": _count_items, "_joined": _join_texts}
        # Prose for page layouts: useless in requests, and as long as an argument says.
        self.globals.pop("lipsum", None)

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        _send_through_counters(source)
        return super()._generate(source, *args, **kwargs)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Returns the field of a record before the attribute of its Python type."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def wrap_str_format(self, value: Any) -> Any:
        """Wraps ``str.format``, after a check of the widths in its text: ``{:99999999}``.

        Raises:
            SecurityError: a width is too big.
        """
        owner = getattr(value, "__self__", None)
        if isinstance(owner, str) and getattr(value, "__name__", "") in {"format", "format_map"}:
            _check_pattern(owner, ())
            # A width that comes as a value has braces inside braces.
            _refuse(":{" in owner.replace(" ", ""))
        return super().wrap_str_format(value)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Returns the operator's value.

        Raises:
            SecurityError: it would be too big.
        """
        if operator == "*":
            _check_product(left, right)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _refuse(left.bit_length() * right > _MAX_BITS)
        elif operator == "%" and isinstance(left, str):
            _check_pattern(left, right if isinstance(right, tuple) else (right,))
        elif operator == "+" and isinstance(left, Sized) and isinstance(right, Sized):
            _refuse(len(left) + len(right) > MAX_LENGTH)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns the result of calling ``obj``.

        Raises:
            SecurityError: the result would be too long, or the template made too many calls.
        """
        _count(context, _CALL)
        _check_method(obj, args, kwargs)
        return super().call(context, obj, *args, **kwargs)


def _refuse(condition: bool) -> None:  # noqa: FBT001 - reads as a sentence at each call
    if condition:
        raise SecurityError("it makes more than a template may")


def _count(context: Any, steps: int) -> None:
    taken = getattr(context, "steps_taken", 0) + steps
    _refuse(taken > MAX_LENGTH)
    context.steps_taken = taken


@pass_context
def _count_items(context: Any, items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _count(context, 1)
        yield item


def _join_texts(parts: list[Any]) -> str:
    texts = [str(part) for part in parts]
    _refuse(sum(map(len, texts)) > MAX_LENGTH)
    return "".join(texts)


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _refuse(left.bit_length() + right.bit_length() > _MAX_BITS)
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, Sized) and isinstance(times, int):
            _refuse(len(sequence) * times > MAX_LENGTH)


def _check_method(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    name, owner = getattr(method, "__name__", ""), getattr(method, "__self__", None)
    if name in _WIDTH_METHODS:
        _check_widths([*args, *kwargs.values()])
    elif isinstance(owner, str) and name == "replace":
        _refuse((len(owner) + 1) * len(str(args[1:2])) > MAX_LENGTH)
    elif isinstance(owner, str) and name == "join" and args and isinstance(args[0], list | tuple):
        _refuse(len(owner) * len(args[0]) > MAX_LENGTH)
        _refuse(sum(len(item) for item in args[0] if isinstance(item, str)) > MAX_LENGTH)


def _check_widths(values: Iterable[Any]) -> None:
    _refuse(any(isinstance(value, int) and value > _MAX_WIDTH for value in values))


def _check_pattern(pattern: str, values: Iterable[Any]) -> None:
    """Refuses a width of many digits, as in ``%99999999d``, and one that comes as a value (``%*d``)."""
    digits = 0
    for character in pattern:
        digits = digits + 1 if character.isdecimal() else 0
        _refuse(digits > len(str(_MAX_WIDTH)))
    if "*" in pattern:
        _check_widths(values)


def _limit_widths(filter_: Callable[..., Any]) -> Callable[..., Any]:
    # Jinja passes its context first to filters that ask for it; then comes the value itself, of any size.
    own = 2 if hasattr(filter_, "jinja_pass_arg") else 1

    @wraps(filter_)
    def call_checked(*args: Any, **kwargs: Any) -> Any:
        _check_widths([*args[own:], *kwargs.values()])
        return filter_(*args, **kwargs)

    return call_checked


def _limit_replace(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def call_checked(
        context: Any, value: Any, old: Any, new: Any, *rest: Any, **options: Any
    ) -> Any:
        _refuse((len(str(value)) + 1) * len(str(new)) > MAX_LENGTH)
        return filter_(context, value, old, new, *rest, **options)

    return call_checked


def _limit_join(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def call_checked(context: Any, value: Any, d: Any = "", attribute: Any = None) -> Any:
        items = list(value)
        _refuse(len(items) * len(str(d)) > MAX_LENGTH)
        _refuse(sum(len(item) for item in items if isinstance(item, str)) > MAX_LENGTH)
        return filter_(context, items, d, attribute)

    return call_checked


def _limit_format(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def call_checked(value: Any, *args: Any, **kwargs: Any) -> Any:
        _check_pattern(str(value), args)
        return filter_(value, *args, **kwargs)

    return call_checked
