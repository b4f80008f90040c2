"""A stack's directory: who may read it, who runs in it, which ports it has."""

import os
import socket
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from deploy import layout
from deploy.ports import free_ports, require_free
from service import adjust_token
from service.errors import No, Usage
from service.settings import Settings


def test_the_directory_and_the_keys_are_the_owners_alone(tmp_path: Path):
    directory = tmp_path / "stack"
    layout.make_directory(directory)
    keys = layout.make_keys(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600


def test_the_token_of_adjustments_is_the_owners_alone_and_stays(tmp_path: Path):
    adjust_token.make(tmp_path)
    token = adjust_token.read(Settings(dir=tmp_path))
    adjust_token.make(tmp_path)
    assert stat.S_IMODE((tmp_path / adjust_token.NAME).stat().st_mode) == 0o600
    assert (len(token), adjust_token.read(Settings(dir=tmp_path))) == (43, token)
    stated = Settings(dir=tmp_path, adjust_token=token[::-1])
    assert adjust_token.read(stated) == token[::-1]


def test_the_first_key_signs_and_is_kept(tmp_path: Path):
    first = tomllib.loads(layout.make_keys(tmp_path).read_text())["keys"]
    assert [(key["number"], len(bytes.fromhex(key["secret"])), key["signs"]) for key in first] == [
        (1, 32, True)
    ]
    assert tomllib.loads(layout.make_keys(tmp_path).read_text())["keys"] == first


def test_a_second_stack_in_a_directory_is_told_the_process_of_the_first(tmp_path: Path):
    program = (
        "import sys, pathlib; from deploy import layout\nwith layout.locked(pathlib.Path(sys.argv[1])): pass"
    )
    with layout.locked(tmp_path):
        second = subprocess.run(
            [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, timeout=60, check=False
        )
    assert second.returncode != 0
    assert f"process {os.getpid()}" in second.stderr


def test_a_lock_whose_holder_ended_is_free(tmp_path: Path):
    with layout.locked(tmp_path):
        pass
    with layout.locked(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_without_a_port_each_part_has_its_well_known_one():
    assert layout.choose_ports(None, {"collector": 1}) == layout.DEFAULT_PORTS


def test_a_given_port_is_the_collectors_and_the_services_follow():
    ports = layout.choose_ports(9000, {})
    assert [ports[name] for name in ("collector", "console", "joiner", "writer", "notifier")] == [
        9000,
        9001,
        9002,
        9003,
        9004,
    ]
    assert (ports["clickhouse"], ports["broker"]) == (8123, 9092)


def test_several_collectors_have_one_port_and_one_more_each_for_their_health():
    ports = layout.choose_ports(9000, {}, collectors=2)
    assert {name: port for name, port in ports.items() if name.startswith("collector")} == {
        "collector": 9000,
        "collector-1": 9005,
        "collector-2": 9006,
    }
    assert layout.several("collector", ports) == ["collector-1", "collector-2"]
    assert layout.several("joiner", ports) == ["joiner"]
    assert layout.several("collector", layout.DEFAULT_PORTS) == ["collector"]
    free = layout.choose_ports(0, {"collector-2": (kept := free_ports(1)[0]), "collector-9": 1}, collectors=2)
    assert free["collector-2"] == kept
    assert set(free) == set(ports)


def test_ports_beyond_the_last_are_wrong_usage():
    with pytest.raises(Usage, match="65535 is the last"):
        layout.choose_ports(65_531, {}, collectors=2)


def test_port_0_takes_the_ports_of_the_run_before_where_nobody_took_them():
    remembered, taken = free_ports(2)
    with socket.create_server(("127.0.0.1", taken)):
        ports = layout.choose_ports(0, {"collector": remembered, "console": taken})
    assert ports["collector"] == remembered
    assert ports["console"] != taken
    assert len(set(ports.values())) == len(layout.DEFAULT_PORTS)


def test_ports_are_remembered_by_stack_json(tmp_path: Path):
    stack = layout.RunningStack(
        collector="http://127.0.0.1:1",
        console="http://127.0.0.1:2",
        clickhouse="http://127.0.0.1:3",
        kafka="127.0.0.1:4",
        health={"collector": "http://127.0.0.1:1", "joiner": "http://127.0.0.1:5"},
    )
    (tmp_path / "stack.json").write_bytes(msgspec.json.encode(stack))
    assert layout.remembered_ports(tmp_path) == {"clickhouse": 3, "broker": 4, "collector": 1, "joiner": 5}


def test_nothing_is_remembered_in_a_new_directory(tmp_path: Path):
    assert layout.remembered_ports(tmp_path) == {}


def test_a_port_in_use_is_named_with_its_holder():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            No, match=rf"port {port} \(console\) is in use by process {os.getpid()} \(.*python"
        ):
            require_free({"collector": free_ports(1)[0], "console": port})
