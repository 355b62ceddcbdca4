"""Whatever uses the request's session is function-scoped (settled §18).

A plain dependency of FastAPI ends after the reply has left: a commit that fails there was answered 200 before.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence

from tests.architecture.sources import Breach, Source, product_files, report

#: The functions that open the session; whatever takes their annotated names as a parameter uses it.
OPENERS = frozenset({"read_session", "write_session"})


def _depends(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Every `Depends(name, …)` and the name."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="Depends"), args=[ast.Name(id=name), *_]):
                yield node, name


def _annotations(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return {
        node.id
        for parameter in parameters
        if parameter.annotation
        for node in ast.walk(parameter.annotation)
        if isinstance(node, ast.Name)
    }


def session_users(sources: Sequence[Source]) -> set[str]:
    """Names of all dependencies that use the session, directly or through another."""
    takes: dict[str, set[str]] = {}
    aliases: dict[str, set[str]] = {}
    for source in sources:
        for node in ast.walk(source.tree):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    inner = {name for default in ast.walk(node.args) for _, name in _depends(default)}
                    takes.setdefault(node.name, set()).update(_annotations(node) | inner)
                case ast.Assign(targets=[ast.Name(id=alias)], value=value):
                    for _, name in _depends(value):
                        aliases.setdefault(alias, set()).add(name)
    users, before = set(OPENERS), 0
    while len(users) != before:
        before = len(users)
        named = users | {alias for alias, made_of in aliases.items() if made_of & users}
        users |= {function for function, parameters in takes.items() if parameters & named}
    return users


def scope_breaches(sources: Iterable[Source]) -> list[Breach]:
    """`Depends` of something that uses the session, without `scope="function"`."""
    sources = [source for source in sources if source.path.endswith(".py")]
    users = session_users(sources)
    breaches = []
    for source in sources:
        for call, name in _depends(source.tree):
            scopes = [keyword.value for keyword in call.keywords if keyword.arg == "scope"]
            is_scoped = any(isinstance(one, ast.Constant) and one.value == "function" for one in scopes)
            if name in users and not is_scoped:
                breaches.append(Breach(source.path, call.lineno, f"{name} must be function-scoped"))
    return breaches


def test_whatever_uses_the_session_is_function_scoped() -> None:
    sources = product_files()
    assert not scope_breaches(sources), report(scope_breaches(sources))
    found = {name for source in sources for _, name in _depends(source.tree)} & session_users(list(sources))
    assert {"read_session", "write_session", "claim_key", "change_call"} <= found


def test_a_planted_session_of_the_request_is_noticed() -> None:
    text = """async def write_session(request): yield request
async def by_alias(session: Write): return session
async def by_hand(session: Annotated[WriteSession, Depends(write_session)]): return session
async def other(request): return request
Write = Annotated[WriteSession, Depends(write_session, scope="function")]
Wrong = Annotated[WriteSession, Depends(write_session)]
Second = Annotated[Step, Depends(by_alias)]
Third = Annotated[Step, Depends(by_alias, scope="request")]
Fine = Annotated[Step, Depends(by_alias, scope="function")]
Free = Annotated[Step, Depends(other)]
"""
    planted = Source("shared/src/shared/web/planted.py", text)
    assert sorted(breach.line for breach in scope_breaches([planted])) == [3, 6, 7, 8]
