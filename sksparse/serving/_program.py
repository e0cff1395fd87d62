"""What a network computes, as plain data that can be stored, checked and run without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from reprlib import repr as shortened
from typing import Any

from sksparse.serving._kinds import KINDS, Kind, Option, Shape, is_shape, is_whole

#: Operations of a program at most.
MOST_OPERATIONS = 2**14

#: Letters of the name of a tensor at most.
MOST_LETTERS = 512


@dataclass(frozen=True)
class Operation:
    """One step of a program: it makes one value of others.

    Parameters
    ----------
    kind : str
        What it does: ``"linear"``, ``"conv2d"``, ``"max_pool2d"``, ``"avg_pool2d"``,
        ``"activation"``, ``"affine"``, ``"reshape"``, ``"select"``, ``"add"`` or
        ``"concatenate"``.
    inputs : tuple of int
        The numbers of the values that it reads; 0 is the input of the network.
    output : int
        The number of the value that it makes: one more than its place in the program.
    tensors : dict of str to str, default={}
        For each role (``"weight"``, ``"bias"``, ...) the name of a tensor.
    options : dict of str to object, default={}
        What JSON can hold: strides, padding, the name of the activation.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    tensors: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """The options, with defaults for those that are left out."""
        defaults = {
            name: option.default
            for name, option in KINDS[self.kind].options.items()
            if not option.is_required and option.default is not None
        }
        return {**defaults, **self.options}


@dataclass(frozen=True)
class Program:
    """What a network computes for a row: operations, each on values that were made before.

    Parameters
    ----------
    input_shape : tuple of int
        The shape of one row.
    operations : tuple of Operation
        In the order in which they run.
    output : int
        The number of the value that is the output.

    Raises
    ------
    ValueError
        Where an operation is of an unknown kind, reads a value that was not made, or has other
        tensors or options than those of its kind.

    Examples
    --------
    >>> from sksparse.serving import Operation, Program
    >>> program = Program(
    ...     (3,),
    ...     (
    ...         Operation("linear", (0,), 1, {"weight": "0.weight"}),
    ...         Operation("activation", (1,), 2, options={"name": "relu"}),
    ...     ),
    ...     2,
    ... )
    >>> Program.from_json(program.to_json()) == program
    True
    >>> program.value_shapes({"0.weight": (4, 3)})
    ((3,), (4,), (4,))
    """

    input_shape: Shape
    operations: tuple[Operation, ...]
    output: int

    def __post_init__(self) -> None:
        if not is_shape(self.input_shape):
            raise ValueError(
                f"The program's input_shape={shortened(self.input_shape)} must be a few whole "
                "numbers from 1 on."
            )
        if len(self.operations) > MOST_OPERATIONS:
            raise ValueError(f"The program has more than {MOST_OPERATIONS} operations.")
        for place, operation in enumerate(self.operations):
            _check_operation(operation, place)
        if not is_whole(self.output, 0, len(self.operations)):
            raise ValueError(
                f"The program's output={shortened(self.output)} must be the number of one of its "
                f"values, 0 to {len(self.operations)}."
            )

    def to_json(self) -> dict[str, Any]:
        """The program as what JSON can hold; what is usual is left out.

        Returns
        -------
        data : dict
            With the shape of a row, the operations, and the output where it is not the last
            value. An operation has its inputs where they are not just the value before.
        """
        data: dict[str, Any] = {
            "input_shape": list(self.input_shape),
            "operations": [_operation_data(operation) for operation in self.operations],
        }
        if self.output != len(self.operations):
            data["output"] = self.output
        return data

    @classmethod
    def from_json(cls, data: Any) -> Program:
        """The program that ``to_json`` wrote, of data that nobody has checked.

        Parameters
        ----------
        data : object
            What was read from JSON.

        Returns
        -------
        program : Program
            The program.

        Raises
        ------
        ValueError
            Where it is not what ``to_json`` writes.
        """
        _need_object(data, "The program", {"input_shape", "operations", "output"})
        shape, operations = data.get("input_shape"), data.get("operations")
        if type(shape) is not list or type(operations) is not list:
            raise ValueError("The program must have lists as its input_shape and its operations.")
        if len(operations) > MOST_OPERATIONS:
            raise ValueError(f"The program has more than {MOST_OPERATIONS} operations.")
        return cls(
            tuple(shape),
            tuple(_operation_of(entry, place) for place, entry in enumerate(operations)),
            data.get("output", len(operations)),
        )

    def value_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Shape, ...]:
        """The shapes of all values of one row, by their numbers.

        Parameters
        ----------
        shapes : mapping of str to tuple of int
            The shape of each tensor.

        Returns
        -------
        values : tuple of tuple of int
            The first is that of the input.

        Raises
        ------
        ValueError
            Where a tensor is missing or does not fit what it is used for, or a value is too large.
        """
        values: list[Shape] = [self.input_shape]
        for place, operation in enumerate(self.operations):
            where = _where(place, operation.kind)
            missing = sorted(set(operation.tensors.values()) - set(shapes))
            if missing:
                raise ValueError(f"{where} needs the tensor {missing[0]!r}, which is not there.")
            tensors = {role: tuple(shapes[name]) for role, name in operation.tensors.items()}
            inputs = [values[number] for number in operation.inputs]
            try:
                shape = KINDS[operation.kind].shape(operation.settings, inputs, tensors)
            except ValueError as error:
                raise ValueError(f"{where} does not fit: {error}.") from None
            if not is_shape(shape):
                raise ValueError(f"{where} makes a value of shape {shape}, which is too large.")
            values.append(shape)
        return tuple(values)

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Whether the shapes of tensors fit the operations.

        Parameters
        ----------
        shapes : mapping of str to tuple of int
            The shape of each tensor.

        Raises
        ------
        ValueError
            Where one is missing or does not fit what it is used for, or a value is too large.
        """
        self.value_shapes(shapes)


def _where(place: int, kind: str) -> str:
    return f"Operation {place} of the program ({kind})"


def _need_object(data: Any, what: str, keys: set[str]) -> None:
    if type(data) is not dict or not set(data) <= keys:
        raise ValueError(f"{what} must be an object with no other entries than {sorted(keys)}.")


def _operation_data(operation: Operation) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": operation.kind}
    if operation.inputs != (operation.output - 1,):
        data["inputs"] = list(operation.inputs)
    if operation.tensors:
        data["tensors"] = dict(operation.tensors)
    if operation.options:
        data["options"] = {
            name: list(value) if type(value) is tuple else value
            for name, value in operation.options.items()
        }
    return data


def _operation_of(data: Any, place: int) -> Operation:
    _need_object(
        data, f"Operation {place} of the program", {"kind", "inputs", "tensors", "options"}
    )
    inputs = data.get("inputs", [place])
    tensors, options = data.get("tensors", {}), data.get("options", {})
    if type(inputs) is not list or type(tensors) is not dict or type(options) is not dict:
        raise ValueError(
            f"Operation {place} of the program must have a list of inputs and objects as tensors "
            "and options."
        )
    plain = {
        name: tuple(value) if type(value) is list else value for name, value in options.items()
    }
    return Operation(data.get("kind", ""), tuple(inputs), place + 1, tensors, plain)


def _check_operation(operation: Operation, place: int) -> None:
    kind = KINDS.get(operation.kind) if type(operation.kind) is str else None
    if kind is None:
        raise ValueError(
            f"Operation {place} of the program has the unknown kind {shortened(operation.kind)}; "
            f"there are {', '.join(KINDS)}."
        )
    where = _where(place, operation.kind)
    if type(operation.output) is not int or operation.output != place + 1:
        raise ValueError(f"{where} must make value {place + 1}, not {shortened(operation.output)}.")
    _check_inputs(operation, kind, where, place)
    _check_tensors(operation, kind, where)
    _check_options(operation, kind, where)


def _check_inputs(operation: Operation, kind: Kind, where: str, place: int) -> None:
    if len(operation.inputs) not in kind.n_inputs:
        raise ValueError(
            f"{where} reads {len(operation.inputs)} values; its kind reads {kind.n_inputs[0]} to "
            f"{kind.n_inputs[-1]}."
        )
    for number in operation.inputs:
        if not is_whole(number, 0, place):
            raise ValueError(
                f"{where} reads value {shortened(number)}; those made before are 0 to {place}."
            )


def _check_tensors(operation: Operation, kind: Kind, where: str) -> None:
    roles = set(operation.tensors)
    if not set(kind.required) <= roles <= {*kind.required, *kind.optional}:
        raise ValueError(
            f"{where} has tensors for {shortened(sorted(roles))}; its kind needs "
            f"{list(kind.required)} and may have {list(kind.optional)}."
        )
    for name in operation.tensors.values():
        if type(name) is not str or len(name) > MOST_LETTERS:
            raise ValueError(f"{where} must name tensors by text of up to {MOST_LETTERS} letters.")


def _check_options(operation: Operation, kind: Kind, where: str) -> None:
    for name, value in operation.options.items():
        option = kind.options.get(name)
        if option is None:
            raise ValueError(f"{where} has the unknown option {shortened(name)}.")
        _check_option(option, name, value, where)
    for name, option in kind.options.items():
        if option.is_required and name not in operation.options:
            raise ValueError(f"{where} lacks the option {name!r}: {option.wanted}.")


def _check_option(option: Option, name: str, value: Any, where: str) -> None:
    if not option.is_valid(value):
        raise ValueError(f"{where} has {name}={shortened(value)}, which must be {option.wanted}.")
