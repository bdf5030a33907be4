"""What rewriting did, step by step, so that another solver can check it.

`checker.folding` and `checker.storage` never build a term as it is asked for if a simpler one is
equal to it, and some conditions come to `False` that way, before any solver is asked. Each step
is an equation: the plain term of an operator equals what was built instead, given the equations
of the steps within it. What lies deep below is a variable of its own, so that a step is small, and
most steps of a description have one of a few hundred shapes. Not recorded: operators on
constants alone, which the integer engine computes, and operators whose condition is one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from checker.terms import Argument, Op, Term, Terms, children
from spec.ir import CompareOp, Memory

VIEWS = ((1, False), (2, False), (1, True), (3, False), (3, True), (5, False))
"""How much of a step is shown, until it is seen to be right: so many levels, and of chains of
writes the whole length or not. What no view shows is shown whole."""

WHOLE = (1 << 30, True)

_Plain = tuple[Op, int, tuple[Argument, ...]]  # an operator, a width, arguments as in a term
_Step = tuple[_Plain, Argument]  # and what was built

_LEAVES = (Op.SYMBOL, Op.ARRAY, Op.APPLY)
_TRUTH_FIRST = (Op.NOT, Op.AND, Op.OR, Op.BIT, Op.SELECT, Op.SELECT_ARRAY)
_ORDERS = (CompareOp.ULT, CompareOp.SLT, CompareOp.ULE, CompareOp.SLE)


class Steps:
    """Records the steps of every engine that is made while it is the process's own."""

    def __init__(self, memory: Memory, shapes: Terms, impossible: Callable[[Term], bool]) -> None:
        """`impossible`: whether a solver soon finds that a condition over `shapes` cannot hold."""
        self._cell = memory.cell_width
        self._impossible = impossible
        self.shapes = shapes
        """Steps denied are built here: what is asked of the other solver."""
        self._within: list[list[_Step]] = []
        self._seen: set[tuple[object, ...]] = set()
        self._asked: dict[Term, bool] = {}
        self._left: set[Term] = set()
        self._new: list[Term] = []

    def watch(self, engine: object, assuming: frozenset[str]) -> None:
        """Record what an engine (a `Folding`) builds from now on."""
        for name, plain in self._methods().items():
            method = getattr(engine, name, None)
            if method is not None and name not in assuming:
                setattr(engine, name, self._recorded(method, plain))

    def take(self) -> list[Term]:
        """The denials of the steps that are new since the last call; none of them can hold."""
        new, self._new = self._new, []
        return new

    def followed(self, facts: Mapping[Term, int], condition: Term, value: bool) -> None:
        """A branch was not walked: the facts of the path decide its condition."""
        premises: list[_Step] = []
        left = [condition]
        while left:
            term = left.pop()
            if term in facts:
                premises.append(((Op.AND, 0, (term, term)), bool(facts[term])))
            elif term.op is Op.EQUAL and term.args[0] in facts:
                source = cast(Term, term.args[0])
                whole = (Op.EXTRACT, source.width, (source, source.width - 1, 0))
                premises.append((whole, facts[source]))
            elif term.op in (Op.NOT, Op.AND, Op.OR):
                left.extend(children(term))
        self._note(((Op.AND, 0, (condition, condition)), value), premises)

    # -- recording

    def _methods(self) -> dict[str, Callable[..., _Plain | None]]:
        cell = self._cell
        return {
            "unary": lambda op, a, width: (Op.UNARY, width, (op, a)),
            "binary": lambda op, a, b, width: (Op.BINARY, width, (op, a, b)),
            "extract": lambda a, width, high, low: (Op.EXTRACT, high - low + 1, (a, high, low)),
            "concat": lambda a, b, low, width: (Op.CONCAT, width, (a, b, low)) if low else None,
            "extend": lambda a, inner, signed, width: (
                (Op.EXTEND, width, (a, inner, int(signed))) if inner < width else None
            ),
            "select": lambda c, a, b, width: (Op.SELECT, width, (c, a, b)),
            "bit": lambda a: (Op.BIT, 1, (a,)),
            "compare": lambda op, a, b, width: (
                (Op.LESS, 0, (op, a, b, width)) if op in _ORDERS else None
            ),
            "equal": lambda a, b, width: (Op.EQUAL, 0, (a, b, width)),
            "select_truth": lambda c, a, b: (Op.SELECT, 0, (c, a, b)),
            "negate": lambda a: (Op.NOT, 0, (a,)),
            "both": lambda a, b: (Op.AND, 0, (a, b)),
            "either": lambda a, b: (Op.OR, 0, (a, b)),
            "read_place": lambda array, place, index, width: (
                Op.READ,
                width,
                (array, place, index),
            ),
            "write_place": lambda array, place, value, index, width: (
                Op.WRITE,
                0,
                (array, place, value, index, width),
            ),
            "select_array": lambda c, a, b, shape: (Op.SELECT_ARRAY, 0, (c, a, b)),
            "load_cells": lambda memory, at, size: (Op.LOAD, size * cell, (memory, at, size)),
            "store_cells": lambda memory, at, value, size: (Op.STORE, 0, (memory, at, value, size)),
            "select_memory": lambda c, a, b: (Op.SELECT_ARRAY, 0, (c, a, b)),
        }

    def _recorded(
        self, method: Callable[..., Any], plain: Callable[..., _Plain | None]
    ) -> Callable[..., Any]:
        def recorded(*arguments: Any) -> Any:
            self._within.append([])
            try:
                result = method(*arguments)
            finally:
                within = self._within.pop()
            asked = plain(*arguments)
            if asked is None or _by_itself(asked):
                outer = within
            else:
                outer = [(asked, result)]
                self._note((asked, result), within)
            if self._within:
                self._within[-1] += outer
            return result

        return recorded

    def _note(self, step: _Step, within: Sequence[_Step]) -> None:
        (op, width, args), result = step
        if isinstance(result, Term) and result.op is op and _same(result.args, args):
            return
        key = (op, width, args, result, *within)
        if key in self._seen:
            return
        self._seen.add(key)
        for view in VIEWS:
            denied = _Shape(self.shapes, step, within, view).denied()
            right = self._asked.get(denied)
            if right is None:
                right = self._asked[denied] = self._impossible(denied)
                if right:
                    self._new.append(denied)
            if right:
                return
        whole = _Shape(self.shapes, step, within, WHOLE).denied()
        if whole not in self._left:
            self._left.add(whole)
            self._new.append(whole)


class _Shape:
    """A step as a term over variables of its own, which stand for what lies deep below."""

    def __init__(
        self, shapes: Terms, step: _Step, within: Sequence[_Step], view: tuple[int, bool]
    ) -> None:
        self._shapes = shapes
        self._step = step
        self._within = within
        self._variables: dict[Term, Term] = {}
        self._built: dict[Term, Argument] = {}
        self._shown: set[Term] = set()
        (_, _, args), result = step
        level = {a for a in (*args, result) if isinstance(a, Term)}
        depth, chains = view
        while level and depth > 0:
            if chains:
                level |= {below for term in level for below in _stored_before(term)}
            self._shown |= level
            level = {c for t in level if t.op not in _LEAVES for c in children(t)} - self._shown
            depth -= 1

    def denied(self) -> Term:
        """The steps within hold, and this one does not."""
        make = self._shapes.make
        found = make(Op.NOT, 0, self._equation(*self._step))
        for step in self._within:
            found = make(Op.AND, 0, self._equation(*step), found)
        return found

    def _equation(self, plain: _Plain, result: Argument) -> Term:
        op, width, args = plain
        make = self._shapes.make
        left = make(op, width, *(self._of(a) for a in args))
        right = self._of(result)
        if width or op in (Op.WRITE, Op.STORE, Op.SELECT_ARRAY):
            return make(Op.EQUAL, 0, left, right, width)
        if isinstance(right, Term):
            return make(Op.SELECT, 0, left, right, make(Op.NOT, 0, right))
        return left if right else make(Op.NOT, 0, left)

    def _of(self, root: Argument) -> Argument:
        if not isinstance(root, Term):
            return root
        built = self._built
        left = [root]
        while left:
            term = left[-1]
            if term in built:
                left.pop()
                continue
            if term.op in _LEAVES or term not in self._shown:
                built[term] = self._variable(term)
                continue
            missing = [c for c in children(term) if c not in built]
            if missing:
                left.extend(missing)
                continue
            args = (built[a] if isinstance(a, Term) else a for a in term.args)
            built[term] = self._shapes.make(term.op, term.width, *args)
        return built[root]

    def _variable(self, term: Term) -> Term:
        number = len(self._variables)
        if term.width:
            found = self._shapes.symbol(f"v{term.width}.{number}", term.width)
        elif (sorts := _array_sorts(term)) is not None:
            found = self._shapes.array(f"a{sorts[0]}.{sorts[1]}.{number}", *sorts)
        else:
            found = self._shapes.symbol(f"t.{number}", 0)
        return self._variables.setdefault(term, found)


def _by_itself(plain: _Plain) -> bool:
    """Whether an operator is computed on constants, or chooses by one."""
    op, _, args = plain
    if op in _TRUTH_FIRST and not isinstance(args[0], Term):
        return True
    if op in (Op.AND, Op.OR) and not isinstance(args[1], Term):
        return True
    return not any(isinstance(a, Term) for a in args)


def _same(left: tuple[Argument, ...], right: tuple[Argument, ...]) -> bool:
    return all(
        a is b or (a == b and not isinstance(a, Term)) for a, b in zip(left, right, strict=True)
    )


def _stored_before(term: Term) -> Iterator[Term]:
    """A chain of writes is walked down, however long it is."""
    while term.op in (Op.WRITE, Op.STORE):
        term = term.args[0]
        yield term


def _array_sorts(term: Term) -> tuple[int, int] | None:
    """Widths of index and value of an array or memory; None for a truth value."""
    while term.op in (Op.WRITE, Op.STORE, Op.SELECT_ARRAY):
        term = term.args[1 if term.op is Op.SELECT_ARRAY else 0]
    return (term.args[1], term.args[2]) if term.op is Op.ARRAY else None


_current: list[Steps] = []
"""Of this process; empty while nothing is recorded."""


def record(steps: Steps | None) -> None:
    """From now on, let new engines record their steps (None: no engine)."""
    _current[:] = [] if steps is None else [steps]


def watch(engine: object, assuming: frozenset[str]) -> Steps | None:
    """Who records what the engine builds, if anyone, but for what operators build that know more
    than their arguments."""
    for steps in _current:
        steps.watch(engine, assuming)
        return steps
    return None
