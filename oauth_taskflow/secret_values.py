"""Base classes of the objects that hold a secret: no ``repr`` shows it, and no pickle or copy carries it away."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, NoReturn, TypeAlias, TypeVar

from msgspec import Struct

from oauth_taskflow.errors import ResultRefused

T = TypeVar("T")
# The type of a field of a SecretValue that its repr leaves out.
Hidden: TypeAlias = Annotated[T, "not shown"]


class NeverPickled:
    """Base class for objects that hold secrets.

    Pickling or copying one raises ``ResultRefused``, so that a secret cannot reach XCom, a queue, a cache or another
    process.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse, naming the class alone.

        Raises:
            ResultRefused: always.
        """
        raise ResultRefused(
            f"A {type(self).__name__} holds a secret and is not pickled",
            hint="Pass the connection's id, and build it where it is used.",
        )


class SecretValue(NeverPickled, Struct, frozen=True):
    """A value that contains a secret. ``Hidden[…]`` as the type of a field keeps the field out of every ``repr``.

    It has slots, so that ``vars``, debuggers and pretty printers have nothing else to show.
    """

    _hidden: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        own = {name for name, kind in cls.__annotations__.items() if kind.startswith("Hidden[")}
        cls._hidden = cls._hidden | own

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Name and value of each field that is not hidden, for ``rich`` and ``__repr__``."""
        shown = (name for name in self.__struct_fields__ if name not in self._hidden)
        return [(name, getattr(self, name)) for name in shown]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"

    def __copy__(self) -> NoReturn:
        """Refuse as pickling does.

        Raises:
            ResultRefused: always.
        """
        self.__reduce_ex__(2)
