"""The command: names every subcommand, imports late, so that `roundtrip --help` is instant."""

import sys

VERSION = "0.1.0"

# name -> module, what it does
COMMANDS = {
    "up": ("deploy.stack", "the whole stack on this machine, in the foreground"),
    "migrate": ("deploy.migrate", "bring topics and ClickHouse tables to this version"),
    "collector": ("ingest.server", "service: takes clicks, pixels and postbacks over HTTP"),
    "joiner": ("streams.worker", "service: decides what is a conversion (Faust worker)"),
    "writer": ("sinks.writer", "service: writes topics to ClickHouse"),
    "notifier": ("sinks.notifier", "service: calls affiliates' postback URLs"),
    "console": ("console.web", "service: reports, traces and lag as a web page"),
    "catalog": ("console.catalog", "check, apply or show offers, affiliates, advertisers, goals"),
    "adjust": ("console.adjust", "what the network states: approve, reject, amounts; one or a CSV file"),
    "keys": ("deploy.keys", "list, add, sign, retire: the keys that sign transaction IDs"),
    "simulate": ("proof.simulate", "play browsers, advertisers and affiliates over real HTTP"),
    "verify": ("proof.verify", "compare ClickHouse with what a simulation says must be there"),
    "report": ("console.report", "the reports; without a name, which there are"),
    "trace": ("console.trace", "the story of one transaction, conversion, receipt or order"),
    "lag": ("console.lag", "how far each consumer is behind"),
    "journal": ("ingest.inspection.command", "what the collectors' journals hold, and whether it is whole"),
    "replay": ("ingest.replay", "ship journalled events again; counts nothing twice"),
}

NO, WRONG_USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 yes, 1 no, 2 wrong usage, 3 a needed service cannot be reached."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = _answered(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _pipe_closed()
    except OSError as error:
        return _disk_failed(error)
    return code


def _disk_failed(error: OSError) -> int:
    """A full or broken disk is no bug; most often it is the one that our output goes to."""
    import errno  # noqa: PLC0415  late, as all of these

    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        raise error
    _pipe_closed()
    sys.stderr.write(f"roundtrip: {error.filename or 'the output'} cannot be written: {error.strerror}\n")
    return NO


def _answered(words: list[str]) -> int:
    name = words[0] if words else "--help"
    if name in ("-h", "--help", "help"):
        return _say(_help())
    if name in ("-V", "--version", "version"):
        return _say(f"roundtrip {VERSION}\n")
    if name not in COMMANDS:
        return _unknown(name)
    return _run(name, words[1:])


def _say(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {about}" for name, (_, about) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: roundtrip COMMAND [ARGUMENTS]   (roundtrip COMMAND --help tells more)",
            "",
            "Server-side tracking for affiliate and ad networks: each conversion counted exactly once.",
            "",
            *lines,
            "",
            "exit codes: 0 yes, 1 no, 2 wrong usage, 3 a needed service cannot be reached",
            "",
        ]
    )


def _unknown(name: str) -> int:
    import difflib  # noqa: PLC0415  10 ms that --help need not pay

    near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.0)[0]
    sys.stderr.write(
        f"roundtrip: no command {name!r}; did you mean `roundtrip {near}`? All: roundtrip --help\n"
    )
    return WRONG_USAGE


def _run(name: str, words: list[str]) -> int:
    """The command's exit code; a Problem is said in a line, anything else is a bug and keeps its trace."""
    import argparse  # noqa: PLC0415  late, as all of these
    from importlib import import_module  # noqa: PLC0415

    from service.errors import Problem, Refused, Unavailable  # noqa: PLC0415

    module_name, about = COMMANDS[name]
    try:
        command = import_module(module_name)
        parser = argparse.ArgumentParser(prog=f"roundtrip {name}", description=about)
        command.arguments(parser)
        code: int = command.run(parser.parse_args(words))
    except Problem as problem:
        return _failed(name, problem, problem.exit_code)
    except Unavailable as problem:
        return _failed(name, problem, 3)
    except Refused as problem:
        return _failed(name, problem, NO)
    return code


def _failed(name: str, problem: Exception, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"roundtrip {name}: {problem}\n")
    return code


def _pipe_closed() -> int:
    """Whoever read our output (`| head`) has enough; Python must not complain of it at its end."""
    import os  # noqa: PLC0415  late, as all of these

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


if __name__ == "__main__":
    sys.exit(main())
