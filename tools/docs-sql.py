#!/usr/bin/env python3
"""Runs the SQL of the documentation and compares what it prints with what the documentation says.

    docs-sql.py FILE.md...        (connection from PGHOST, PGPORT, PGUSER; psql from PATH)

Every ```sql block of a file runs, in order, in one session on one empty database; an error stops it.
A ```text or ```output block right after one must be what that block printed. In such a block
  - a line `...` stands for any number of lines;
  - the footers `(3 rows)` may be left out.
Two HTML comments mean something here:
  <!-- setup: tests/demo/load.sql -->  runs that file first (psql variable `data` = tests/data);
  <!-- no-run: the reason -->          right before a block marked ```sql no-run, which then does not run.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass

FENCE = re.compile(r"^( *)(`{3,})\s*(.*?)\s*$")
SETUP = re.compile(r"<!--\s*setup:\s*(\S+)\s*-->")
NO_RUN = re.compile(r"<!--\s*no-run:\s*\S.*-->\s*$", re.S)
FOOTER = re.compile(r"^\(\d+ rows?\)$")
DATABASE = "docs"
MARK = "@@ end of block %d @@"


@dataclass
class Block:
    line: int
    info: str
    text: str
    before: str  # what stands between this block and the one before it


def blocks(source):
    """The fenced blocks of a Markdown text."""
    found, between, open_fence = [], [], None
    for number, line in enumerate(source.splitlines(), 1):
        fence = FENCE.match(line)
        if open_fence is None and fence:
            open_fence, body = (number, len(fence[1]), fence[2], fence[3]), []
        elif open_fence is None:
            between.append(line)
        elif fence and fence[2] == open_fence[2] and not fence[3]:
            found.append(Block(open_fence[0], open_fence[3], "\n".join(body) + "\n", "\n".join(between)))
            open_fence, between = None, []
        else:
            indent = open_fence[1]
            body.append(line[indent:] if line[:indent].isspace() else line)
    return found


def tidy(text, footers):
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    if not footers:
        lines = [line for line in lines if not FOOTER.match(line)]
    # Blank lines only separate one result from the next.
    return [line for line in lines if line]


def agrees(expected, actual):
    footers = any(FOOTER.match(line.strip()) for line in expected.splitlines())
    wanted, got = tidy(expected, footers), tidy(actual, footers)
    pattern = "".join("(?:.*\n)*" if w.strip() == "..." else re.escape(w) + "\n" for w in wanted)
    return re.fullmatch(pattern, "".join(g + "\n" for g in got)) is not None


def psql(database, *arguments, script=None):
    return subprocess.run(
        ["stdbuf", "-oL", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "data=tests/data", "-d", database, *arguments],
        input=script, stdin=subprocess.DEVNULL if script is None else None,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False)


def report(ok, name, why=""):
    print(("ok   " if ok else "FAIL ") + name)
    if why:
        print("    " + why.rstrip().replace("\n", "\n    "))
    if "PG_CDP_RESULTS" in os.environ:
        with open(os.environ["PG_CDP_RESULTS"], "a", encoding="utf-8") as results:
            results.write(f"{'ok' if ok else 'FAIL'}\t1\t{name}\n")
    return ok


def run_file(path):
    with open(path, encoding="utf-8") as file:
        source = file.read()
    good, todo, every = True, [], blocks(source)
    for index, block in enumerate(every):
        words = block.info.split()
        if not words or words[0].lower() != "sql":
            continue
        name = f"docs {path}:{block.line}"
        if words[1:] == ["no-run"]:
            if not NO_RUN.search(block.before):
                good = report(False, name, "a no-run block needs <!-- no-run: the reason --> right before it")
        elif words[1:]:
            good = report(False, name, f"unknown mark on a block: {block.info}")
        else:
            after = every[index + 1] if index + 1 < len(every) else None
            shown = after and after.info in ("text", "output") and not after.before.strip()
            todo.append((name, block, after.text if shown else None))
    if not todo:
        return good

    psql("postgres", "-c", "SET client_min_messages = warning", "-c", f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)",
         "-c", f"CREATE DATABASE {DATABASE}")
    for setup in SETUP.findall(source):
        done = psql(DATABASE, "-f", setup)
        if done.returncode != 0:
            return report(False, f"docs {path}: setup {setup}", done.stdout[-4000:])

    script = "".join(f"{block.text}\n;\n\\echo {MARK % number}\n" for number, (_, block, _) in enumerate(todo))
    rest = psql(DATABASE, script=script).stdout
    for number, (name, _, expected) in enumerate(todo):
        printed, mark, rest = rest.partition(MARK % number + "\n")
        if not mark:
            report(False, name, printed or "not reached")
            good, rest = False, ""
        elif expected is not None and not agrees(expected, printed):
            good = report(False, name, f"it prints\n{printed}but the documentation says\n{expected}")
        else:
            report(True, name)
    return good


if __name__ == "__main__":
    sys.exit(0 if all([run_file(path) for path in sys.argv[1:]]) else 1)
