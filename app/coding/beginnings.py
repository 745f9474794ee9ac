"""How an answer begins, as far as the instruction and the memory fix it: what the model need not guess."""

import ast
from collections.abc import Sequence

from app.coding import prompts
from app.coding.instruction import Heading, Intent, Target, Tree
from app.coding.prompts import Form
from app.wire.rows import Symbol


def find(tree: Tree, form: Form, known: Sequence[Symbol], meant: Sequence[str]) -> str:
    """The beginning of a Python function's first line where style "plain" fixes it: of a function
    that is created by its name, that is given as `name(parameters)` and not `known` yet, or that
    the first function of `meant` is renamed to. The model goes on from there; empty where nothing
    is fixed or a guide says more."""
    if form.style != "plain" or not _is_function(tree) or prompts.shape(tree, form):
        return ""
    if prompts.is_new_function(tree):
        assert tree.name is not None
        return _write(tree.name.text, tuple(each.name for each in tree.parameters))
    if tree.intent not in (Intent.CREATE, Intent.CHANGE, Intent.FIX):
        return ""
    names = {symbol.name for symbol in known}
    new = [heading for heading in tree.headings if heading.name not in names]
    given = [heading for heading in new if heading.parameters]
    if given:
        return _write(given[0].name, given[0].parameters or ()) if len(given) == 1 else ""
    return _rename(new, known, meant) if tree.intent == Intent.CHANGE else ""


def _is_function(tree: Tree) -> bool:
    return tree.target == Target.FUNCTION and tree.language in (None, prompts.USUAL)


def _rename(new: Sequence[Heading], known: Sequence[Symbol], meant: Sequence[str]) -> str:
    """What is renamed keeps its parameters."""
    functions = {symbol.name: symbol for symbol in known if symbol.kind == "function"}
    older = next((functions[name] for name in meant if name in functions), None)
    if older is None or len(new) != 1:
        return ""
    return _write(new[0].name, _list_parameters(older))


def _list_parameters(older: Symbol) -> tuple[str, ...]:
    """Those of a plain Python function; empty where there is more to them than names."""
    try:
        tree = ast.parse(older.code)
    except SyntaxError:
        return ()
    found = next((each for each in tree.body if isinstance(each, ast.FunctionDef)), None)
    if found is None or ast.unparse(found.args) != ", ".join(each.arg for each in found.args.args):
        return ()
    return tuple(each.arg for each in found.args.args)


def _write(name: str, parameters: Sequence[str]) -> str:
    return f"def {name}({', '.join(parameters)}"
