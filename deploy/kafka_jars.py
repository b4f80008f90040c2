"""Apache Kafka's jars inside the virtual environment: fetched once, verified against the committed list."""

import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

from deploy.terminal import complain, say
from service.errors import No, Problem

# The release distribution adds a log binding to kafka_2.13; without it the broker would log nothing.
COORDINATES = (
    ("org.apache.kafka", "kafka_2.13", "4.1.1"),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"),
)
JAR_DIRECTORY = Path(sys.prefix) / "share" / "roundtrip" / "kafka"
LIST_FILE = Path(__file__).with_name("kafka_jars.sha256")


def listed(list_file: Path = LIST_FILE) -> dict[str, str]:
    """File name -> sha256 in hex, as committed (the format of `sha256sum`)."""
    lines = [line.split() for line in list_file.read_text().splitlines() if line]
    return {name: digest for digest, name in lines}


def faults(directory: Path, expected: dict[str, str]) -> list[str]:
    """Each jar that is missing, altered or not on the list; empty when the directory is as it must be."""
    present = {path.name: path for path in directory.glob("*.jar")}
    missing = [f"{name} is missing" for name in sorted(expected.keys() - present.keys())]
    altered = [
        f"{name} is altered"
        for name in sorted(expected.keys() & present.keys())
        if digest_of(present[name]) != expected[name]
    ]
    foreign = [f"{name} is not on the list" for name in sorted(present.keys() - expected.keys())]
    return missing + altered + foreign


def digest_of(path: Path) -> str:
    """The file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def class_path(directory: Path = JAR_DIRECTORY, list_file: Path = LIST_FILE) -> str:
    """Java's class path of verified jars, in the list's order (a CDS archive depends on the order)."""
    expected = listed(list_file)
    wrong = faults(directory, expected)
    if wrong:
        raise No(f"Kafka's jars in {directory}: {summary(wrong)}; run `make setup` to fetch them again")
    return ":".join(str(directory / name) for name in expected)


def summary(wrong: list[str]) -> str:
    """The first faults in one line."""
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""  # noqa: PLR2004  three fit a line
    return ", ".join(wrong[:3]) + more


def resolve(repository: Path) -> list[Path]:
    """Every jar that the coordinates need, downloaded below `repository`; nothing is written elsewhere."""
    import requests  # noqa: PLC0415  jgo's own client: half a second of imports that a verified cache never needs
    from jgo.maven import MavenContext  # noqa: PLC0415
    from jgo.parse import Coordinate  # noqa: PLC0415

    context = MavenContext(repo_cache=repository, timeout=60)
    wanted = [
        # raw: else jgo lets the binding's dependency management lower Kafka's own versions (to 3.8).
        context.create_dependency(Coordinate(*name, scope="compile", raw=name != COORDINATES[0]))
        for name in COORDINATES
    ]
    try:
        named, needed = context.resolver.resolve(wanted)
        needed = [dependency for dependency in needed if dependency.scope in {"compile", "runtime"}]
        return [dependency.artifact.resolve() for dependency in [*named, *needed]]
    except (RuntimeError, requests.RequestException) as error:
        name = ":".join(COORDINATES[0])
        raise No(f"cannot fetch {name} from Maven Central: {error}; is there a network?") from error


def install(directory: Path, expected: dict[str, str]) -> None:
    """The directory holds exactly the listed jars; replaced whole, so a broken download changes nothing."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".kafka-") as work:
        fresh = Path(work) / "jars"
        fresh.mkdir()
        for jar in resolve(Path(work) / "repository"):
            jar.rename(fresh / jar.name)
        wrong = faults(fresh, expected)
        if wrong:
            raise No(f"fetched Kafka's jars, but they are not those of {LIST_FILE.name}: {summary(wrong)}")
        if directory.exists():
            shutil.rmtree(directory)
        fresh.rename(directory)


def print_list() -> None:
    """What the coordinates resolve to now, in the list's format: for whoever raises the version."""
    with tempfile.TemporaryDirectory() as work:
        for jar in resolve(Path(work)):
            say(f"{digest_of(jar)}  {jar.name}")


def main(arguments: list[str]) -> int:
    """`python -m deploy.kafka_jars [--list]`."""
    if arguments == ["--list"]:
        print_list()
        return 0
    expected = listed()
    if not faults(JAR_DIRECTORY, expected):
        say(f"Kafka {COORDINATES[0][2]}: {len(expected)} jars verified")
        return 0
    say(f"Kafka {COORDINATES[0][2]}: fetching {len(expected)} jars (45 MB) …")
    began = time.monotonic()
    install(JAR_DIRECTORY, expected)
    say(f"Kafka {COORDINATES[0][2]}: {len(expected)} jars verified after {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Problem as problem:
        complain(f"kafka_jars: {problem}")
        sys.exit(problem.exit_code)
