from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from bm_gitindex import cli
from bm_gitindex.cli import arguments
from bm_gitindex.indexlock import lock_index
from bm_gitindex.worktree.reading import CHUNK_BYTES
from support.commands import NOTE, Run
from support.git import Git

if TYPE_CHECKING:
    from pathlib import Path

    from support.vault import Vault

COMMANDS = ("status", "sync", "ls-files", "show", "find", "links", "verify", "config", "import-basic-memory")


def in_process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "bm_gitindex", *arguments]
    return subprocess.run(command, capture_output=True, check=False, **options)


class TestStatus:
    def test_json_has_the_documented_shape(self, synced: Vault, run: Run) -> None:
        synced.write("new.md")
        (synced.root / "one.md").rename(synced.root / "uno.md")
        (synced.root / "sub/two.md").unlink()
        (synced.root / "link.md").symlink_to("new.md")
        found = run("status", "--json").json
        assert found["root"] == str(synced.root)
        assert found["changes"] == [
            {"status": "added", "path": "new.md", "old_path": None, "kind": "note", "size": 5},
            {"status": "deleted", "path": "sub/two.md", "old_path": None, "kind": "note", "size": None},
            {"status": "moved", "path": "uno.md", "old_path": "one.md", "kind": "note", "size": len(NOTE)},
        ]
        assert found["skipped"] == [{"path": "link.md", "reason": "symbolic link"}]
        assert found["counters"].keys() == {"files_seen", "dirs_seen", "files_read", "bytes_read"}
        assert found["seconds"] > 0
        assert run.code == 0

    def test_porcelain_is_that_of_git_diff_name_status(self, synced: Vault, run: Run, tmp_path: Path) -> None:
        synced.write("one.md", "edited\n")
        (synced.root / "sub/two.md").unlink()
        git = Git(tmp_path / "git", synced.index_path, synced.root)
        assert run("status", "--porcelain").output == git.run("diff-files", "--name-status").stdout

    def test_porcelain_of_moves_and_odd_names(self, synced: Vault, run: Run) -> None:
        (synced.root / "one.md").rename(synced.root / "tab\tand é.md")
        assert run("status", "--porcelain").output == b'R100\tone.md\t"tab\\tand \\303\\251.md"\n'
        assert run("status", "--porcelain", "-z").output == "R100\0one.md\0tab\tand é.md\0".encode()

    def test_exit_code_says_whether_anything_differs(self, synced: Vault, run: Run) -> None:
        assert run("status", "--exit-code").code == 0
        synced.write("one.md", "edited\n")
        assert run("status").code == 0
        assert run("status", "--exit-code").code == 1

    def test_people_see_groups(self, synced: Vault, run: Run) -> None:
        synced.write("one.md", "edited\n")
        synced.write("caf\u00e9.md")
        assert run("status").output.decode() == "New:\n  café.md\nModified:\n  one.md\n"
        run("sync")
        assert run("status").output == b"nothing differs (3 files)\n"

    def test_paths_are_taken_from_the_working_folder(self, synced: Vault, run: Run, monkeypatch: Any) -> None:
        synced.write("one.md", "edited\n")
        synced.write("sub/two.md", "edited\n")
        monkeypatch.chdir(synced.root / "sub")
        assert run("status", "--porcelain", "two.md").output == b"M\tsub/two.md\n"
        assert run("-C", str(synced.root), "status", "--porcelain", "one.md").output == b"M\tone.md\n"

    def test_a_damaged_index_is_exit_6_and_says_what_repairs_it(self, synced: Vault, run: Run) -> None:
        synced.index_path.write_bytes(b"DIRC")
        assert run("status").code == 6
        assert b"bm-gitindex sync" in run.errors
        assert str(synced.index_path).encode() in run.errors

    def test_names_that_are_not_utf8_are_surrogates_in_json_and_raw_with_z(self, synced: Vault, run: Run) -> None:
        with open(os.path.join(os.fsencode(synced.root), b"\xe9.md"), "wb"):
            pass
        assert run("status", "--json").json["changes"][0]["path"] == "\udce9.md"
        assert run("status", "--porcelain", "-z").output == b"A\0\xe9.md\0"
        assert run("status").output == b'New:\n  "\\351.md"\n'


class TestSync:
    def test_json_has_the_documented_shape(self, vault: Vault, run: Run) -> None:
        vault.write("bad.md", b"\xff latin")
        report = run("sync", "--json").json
        assert {name: report[name] for name in ("added", "modified", "deleted", "moved", "unchanged")} == {
            "added": 3,
            "modified": 0,
            "deleted": 0,
            "moved": 0,
            "unchanged": 0,
        }
        assert [warning["path"] for warning in report["warnings"]] == ["bad.md"]
        assert (report["failed"], report["skipped"], run.code) == ([], [], 0)
        counters = {"files_seen", "dirs_seen", "files_read", "bytes_read", "files_parsed", "entities_written"}
        assert report["counters"].keys() == counters
        assert report["peak_rss_bytes"] > 1_000_000

    def test_a_dry_run_creates_nothing(self, vault: Vault, run: Run) -> None:
        assert run("sync", "--dry-run").output.startswith(b"a sync would find: 2 added")
        assert not vault.state_path.exists()

    def test_a_held_lock_is_exit_4(self, synced: Vault, run: Run) -> None:
        with lock_index(synced.project.state, 0, "another sync"):
            assert run("sync", "--wait", "0").code == 4
        assert re.search(rb"in use by process \d+ on .*another sync", run.errors)

    def test_an_emptied_root_is_exit_5_and_names_the_override(self, synced: Vault, run: Run) -> None:
        (synced.root / "one.md").unlink()
        (synced.root / "sub/two.md").unlink()
        assert run("sync").code == 5
        assert b"--allow-mass-delete" in run.errors
        assert run("sync", "--allow-mass-delete").code == 0

    def test_an_unreadable_file_is_exit_3_and_listed(self, synced: Vault, run: Run, monkeypatch: Any) -> None:
        from support.faults import deny_file

        synced.write("one.md", "edited\n")
        deny_file(monkeypatch, b"one.md")
        assert run("sync").code == 3
        assert b"one.md: cannot be read: Permission denied" in run.errors
        assert run("sync", "--json").json["failed"][0]["path"] == "one.md"

    def test_interrupted_it_is_exit_130_and_leaves_no_lock(self, vault: Vault) -> None:
        script = (
            "import os, signal, sys\n"
            "from bm_gitindex import cli\nfrom bm_gitindex.syncing import intake\n"
            "real = intake.Intake._take\n"
            "def take(self, task):\n"
            "    if task.path == b'sub/two.md': os.kill(os.getpid(), signal.SIGINT)\n"
            "    return real(self, task)\n"
            "intake.Intake._take = take\n"
            "sys.exit(cli.main(['sync']))\n"
        )
        done = subprocess.run([sys.executable, "-c", script], cwd=vault.root, capture_output=True, check=False)
        assert (done.returncode, b"interrupted" in done.stderr) == (130, True)
        assert b"Traceback" not in done.stderr
        assert not (vault.state_path / "index.lock").exists()
        vault.sync()
        assert len(vault.ids()) == 2

    def test_a_path_that_nobody_knows_is_exit_2(self, synced: Vault, run: Run) -> None:
        assert run("sync", "tpyo.md").code == 2
        assert b"tpyo.md is neither in the project nor in its index" in run.errors
        assert run("status", "").code == 2

    @pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "soon"])
    def test_a_waiting_time_is_a_number_of_seconds(self, vault: Vault, run: Run, seconds: str) -> None:
        assert run("sync", "--wait", seconds).code == 2

    def test_closed_outputs_do_not_keep_it_from_its_work(self, vault: Vault) -> None:
        command = f"{sys.executable} -m bm_gitindex sync >&- 2>&-"
        assert subprocess.run(["bash", "-c", command], cwd=vault.root, check=False).returncode == 0
        assert len(vault.ids()) == 2

    def test_a_full_output_is_one_line_and_exit_6(self, synced: Vault) -> None:
        command = f"{sys.executable} -m bm_gitindex ls-files > /dev/full"
        done = subprocess.run(["bash", "-c", command], cwd=synced.root, capture_output=True, check=False)
        assert (done.returncode, done.stderr.count(b"\n")) == (6, 1)
        assert b"No space left" in done.stderr


class TestOthers:
    def test_ls_files_is_that_of_git(self, synced: Vault, run: Run, tmp_path: Path) -> None:
        synced.write('odd "name" é\n.md')
        synced.options = synced.options.__class__(large_file_bytes=10)
        (synced.root / ".basic-memory/config.toml").write_text("large_file_bytes = 10\n")
        synced.write("large.bin", bytes(CHUNK_BYTES))
        run("sync")
        git = Git(tmp_path / "git", synced.index_path, synced.root)
        for options in ([], ["-s"], ["-z"], ["-s", "-z"], ["--debug"], ["-s", "--debug"]):
            assert run("ls-files", *options).output == git.run("ls-files", *options).stdout

    def test_show_has_the_documented_shape(self, synced: Vault, run: Run) -> None:
        entity = run("show", "one.md", "--json").json
        assert {name: entity[name] for name in ("title", "type", "permalink", "file_path", "size")} == {
            "title": "One",
            "type": "note",
            "permalink": "one",
            "file_path": "one.md",
            "size": len(NOTE),
        }
        assert entity["observations"] == [
            {"category": "fact", "content": "water is wet #nature", "tags": ["nature"], "context": "seen"}
        ]
        assert entity["relations"][0] == {
            "type": "relates_to",
            "target": "Two",
            "to_permalink": "sub/two",
            "to_path": "sub/two.md",
            "context": None,
        }
        assert entity.keys() >= {"id", "content_type", "blob_id", "mtime_ns", "created_at", "updated_at", "metadata"}
        assert run("show", "sub/two", "--json").json["incoming"][0]["from_path"] == "one.md"

    def test_show_prints_for_people(self, synced: Vault, run: Run) -> None:
        assert b"relates_to -> Two (sub/two.md)" in run("show", "one").output

    def test_front_matter_takes_the_place_of_no_fact_about_the_file(self, synced: Vault, run: Run) -> None:
        note = "---\npath: elsewhere.md\nsize: 3\n---\n"
        synced.write("own.md", note)
        run("sync")
        lines = run("show", "own").output.decode().splitlines()
        assert {"  path: own.md", "  path: elsewhere.md", f"  size: {len(note)} bytes", "  size: 3"} <= set(lines)

    def test_show_of_nothing_is_an_error(self, vault: Vault, run: Run) -> None:
        assert run("show", "one").code == 1
        assert b"bm-gitindex sync" in run.errors
        run("sync")
        assert run("show", "absent").code == 1

    def test_verify_is_0_when_all_agrees_and_1_when_not(self, synced: Vault, run: Run) -> None:
        verification = run("verify", "--json").json
        assert (verification["ok"], verification["mismatches"], run.code) == (True, [], 0)
        assert verification["files_checked"] == 2
        synced.write("new.md")
        assert run("verify", "--json").json["pending"] == ["new.md"]
        synced.execute("UPDATE entity SET title = 'Wrong' WHERE file_path = 'one.md'")
        assert run("verify").code == 1
        assert b"one.md" in run.output

    def test_config_is_set_and_read_back(self, vault: Vault, run: Run) -> None:
        assert run("config", "set", "ignore", "sub/, *.log").code == 0
        assert run("config", "get", "ignore").output == b"sub/, *.log\n"
        assert run("sync", "--json").json["added"] == 1
        assert b"large_file_bytes = 10000000" in run("config", "list").output
        assert run("config", "set", "large_file_bytes", "12MiB").code == 0
        assert run("config", "get", "large_file_bytes").output == b"12582912\n"

    def test_an_option_can_be_put_back(self, vault: Vault, run: Run) -> None:
        run("config", "set", "bounds.max_items", "5")
        assert run("config", "unset", "bounds.max_items").code == 0
        assert run("config", "get", "bounds.max_items").output == b"100000\n"
        assert run("config", "unset", "no_such").code == 2

    def test_a_state_dir_that_cannot_serve_is_refused_before_it_is_set(self, vault: Vault, run: Run) -> None:
        assert run("config", "set", "state_dir", "sub").code == 6
        assert run("sync").code == 0

    def test_a_terminal_is_not_commanded_by_a_note(self, vault: Vault, run: Run) -> None:
        vault.write("one.md", "- [fact] \x1b[2J gone #tag\n")
        run("sync")
        assert b"\x1b[2J" not in run("show", "one.md").output

    def test_verify_says_what_it_could_not_read(self, synced: Vault, run: Run, monkeypatch: Any) -> None:
        from support.faults import deny_folder

        deny_folder(monkeypatch, b"sub")
        assert run("verify").code == 3
        assert b"unreadable: sub" in run("verify").output

    def test_verify_of_a_damaged_index_is_exit_6(self, synced: Vault, run: Run) -> None:
        synced.index_path.write_bytes(b"DIRC")
        assert run("verify").code == 6

    def test_a_wrong_option_is_exit_2_and_guessed(self, vault: Vault, run: Run) -> None:
        assert run("config", "set", "large_file_byte", "1").code == 2
        assert b"do you mean large_file_bytes?" in run.errors
        assert run("config", "set", "check_stat", "perhaps").code == 2


class TestCommandLine:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_help_with_an_example(self, run: Run, command: str) -> None:
        assert run(command, "--help").code == 0
        assert b"example:\n  bm-gitindex " in run.output

    def test_a_mistyped_command_is_exit_2_and_guessed(self, run: Run) -> None:
        assert run("statsu").code == 2
        assert run.errors.count(b"\n") == 1
        assert b"do you mean status?" in run.errors

    def test_a_missing_root_is_exit_5(self, run: Run, tmp_path: Path) -> None:
        assert run("-C", str(tmp_path / "absent"), "status").code == 5

    def test_home_and_root_are_never_guessed(self, run: Run, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".basic-memory").mkdir()
        (tmp_path / ".basic-memory/config.toml").write_text("")
        folder = tmp_path / "folder"
        folder.mkdir()
        monkeypatch.chdir(folder)
        assert run("sync").code == 0
        assert (folder / ".basic-memory/index").exists()
        monkeypatch.chdir(tmp_path)
        assert run("status").code == 6
        assert b"-C" in run.errors

    def test_the_nearest_index_upwards_is_the_project(self, synced: Vault, run: Run, monkeypatch: Any) -> None:
        monkeypatch.chdir(synced.root / "sub")
        assert run("status", "--json").json["root"] == str(synced.root)

    @pytest.mark.parametrize(
        "argv",
        [
            ["status"],
            ["-C", "somewhere", "status"],
            ["-C", "status", "status"],
            ["status", "--porcelain", "-z"],
            ["status", "-z"],
            ["-C", "somewhere", "status", "--exit-code", "--json"],
        ],
    )
    def test_a_mere_status_is_understood_as_argparse_does(self, argv: list[str]) -> None:
        quick = cli._quick_status(argv)
        assert quick is not None
        assert vars(quick) == vars(arguments.parsed(argv))

    @pytest.mark.parametrize(
        "argv",
        [
            [],
            ["status", "status"],
            ["-C", "status"],
            ["-v", "status"],
            ["-C", "-h", "status"],
            ["x", "y", "status"],
            ["-C", "x", "y", "status"],
            ["status", "--json", "--porcelain"],
            ["status", "-z", "-z"],
            ["status", "--js"],
            ["status", "-q"],
            ["status", "--"],
        ],
    )
    def test_anything_else_is_left_to_argparse(self, argv: list[str]) -> None:
        assert cli._quick_status(argv) is None

    def test_volume_may_be_set_after_the_command(self, synced: Vault, run: Run) -> None:
        assert run("status", "-q").output == b""
        assert b"seen" in run("status", "-v").output
        assert b"seen" in run("-v", "status").output

    def test_a_working_folder_that_is_gone_is_one_line(self, tmp_path: Path) -> None:
        gone = tmp_path / "gone"
        main = "import sys; from bm_gitindex.__main__ import main; sys.exit(main())"
        script = f"mkdir {gone} && cd {gone} && rmdir {gone} && {sys.executable} -I -c '{main}' status"
        done = subprocess.run(["bash", "-c", script], capture_output=True, check=False)
        assert done.returncode == 6
        assert done.stderr.count(b"\n") == 1

    def test_tracebacks_are_for_those_who_ask(self, synced: Vault, run: Run) -> None:
        synced.index_path.write_bytes(b"")
        assert b"Traceback" not in run("status").errors
        assert b"Traceback" in run("-vv", "status").errors

    def test_a_reader_that_has_seen_enough_is_no_error(self, synced: Vault) -> None:
        command = f"{sys.executable} -m bm_gitindex ls-files --debug | head -n 1"
        done = subprocess.run(["bash", "-c", command], cwd=synced.root, capture_output=True, check=False)
        assert (done.stdout, done.stderr) == (b"one.md\n", b"")

    def test_colours_are_for_terminals_without_no_color(self, synced: Vault) -> None:
        synced.write("one.md", "edited\n")
        command = [sys.executable, "-m", "bm_gitindex", "status"]

        def on_terminal(**variables: str) -> bytes:
            controller, terminal = pty.openpty()
            environment = {**os.environ, "TERM": "xterm", **variables}
            subprocess.run(command, cwd=synced.root, stdout=terminal, env=environment, check=True)
            os.close(terminal)
            with os.fdopen(controller, "rb") as screen:
                return screen.read1(4096)

        assert b"\x1b[33m" in on_terminal()
        assert b"\x1b[" not in on_terminal(NO_COLOR="1")
        assert b"\x1b[" not in in_process("status", cwd=synced.root).stdout

    @pytest.mark.parametrize("command", ["sync", "status", "verify"])
    def test_long_work_shows_progress_on_a_terminal_and_short_work_none(self, synced: Vault, command: str) -> None:
        for number in range(30):
            synced.write(f"many/{number}.md", "text\n")
        script = (
            "import sys\nfrom bm_gitindex.cli import main, output\n"
            "output._PROGRESS_AFTER_S = output._PROGRESS_EVERY_S = float(sys.argv[1])\nsys.exit(main(sys.argv[2:]))"
        )

        def on_terminal(after_s: str) -> bytes:
            controller, terminal = pty.openpty()
            line = [sys.executable, "-c", script, after_s, command]
            subprocess.run(line, cwd=synced.root, stdout=subprocess.DEVNULL, stderr=terminal, check=True)
            os.write(terminal, b"$")
            os.close(terminal)
            with os.fdopen(controller, "rb") as screen:
                return screen.read1(100_000)

        assert re.search(rb"\r\x1b\[K(looking|reading|checking): \d+ files", on_terminal("0"))
        assert on_terminal("1000") == b"$"

    def test_quick_commands_import_no_more_than_they_need(self, synced: Vault) -> None:
        script = (
            "import sys\nfrom bm_gitindex.cli import main\ncode = main(sys.argv[1:])\n"
            "heavy = 'sqlalchemy aiosqlite asyncpg alembic dulwich yaml pyromark tomlkit asyncio json sqlite3'\n"
            "print([name for name in heavy.split() if name in sys.modules], code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, "-q", "status"], cwd=synced.root, capture_output=True, check=True
        )
        assert done.stdout == b"[] 0\n"

    def test_a_clean_status_loads_little_and_compiles_no_annotation(self, synced: Vault) -> None:
        """`from __future__ import annotations` makes NamedTuple compile each annotation; the first costs 2 ms."""
        self._settle(synced)
        script = (
            "import sys\n"
            "compiled = []\n"
            "is_text = lambda name, args: name == 'compile' and args[1] == '<string>' and args[0][:6] != b'lambda'\n"
            "sys.addaudithook(lambda name, args: compiled.append(args[0]) if is_text(name, args) else None)\n"
            "from bm_gitindex.cli import main\n"
            "main(['status'])\n"
            "heavy = {'dataclasses', 'argparse', 'inspect', 'shutil', 'datetime', 'sqlite3', 'json', 'unicodedata'}\n"
            "print(compiled, heavy & {*sys.modules})\n"
        )
        done = subprocess.run([sys.executable, "-c", script], cwd=synced.root, capture_output=True, check=True)
        assert done.stdout.splitlines()[-1] == b"[] set()"

    def _settle(self, vault: Vault) -> None:
        deadline_s = time.monotonic() + 60
        while in_process("-v", "sync", cwd=vault.root).stdout.find(b" 0 read") < 0:
            assert time.monotonic() < deadline_s  # files of this test are young for two seconds

    def test_an_unchanged_sync_imports_no_sqlalchemy(self, synced: Vault) -> None:
        self._settle(synced)
        heavy = "{'sqlalchemy', 'asyncpg'} & {*sys.modules}"
        script = f"import sys\nfrom bm_gitindex.cli import main\nmain(['sync'])\nprint({heavy})"
        done = subprocess.run([sys.executable, "-c", script], cwd=synced.root, capture_output=True, check=True)
        assert done.stdout.endswith(b"set()\n")
