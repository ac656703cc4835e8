#!/usr/bin/env python3
"""Checks that what is compiled for newer processors runs on them alone.

  isa_objects.py ROOT COMPILE_COMMANDS NM OBJECT...  exit 1 and a list, if it does not
  isa_objects.py --self_test                         exit 1 if the checker overlooks something

A linker that finds a function in several objects, such as an inline one of a header, keeps any of
them. So an object of kernels/engines/cpu/isa may hold nothing that others could be given: nothing
weak, and nothing global but its table of kernels. It may not run anything at start either. Every
other file that is shipped is compiled for the plain processor.
"""

import json
import pathlib
import re
import shlex
import subprocess
import sys

ISA_FOLDER = "kernels/engines/cpu/isa"

# Options that choose instructions all begin so.
MACHINE_OPTION = "-m"

# Not shipped: they ask the processor themselves.
UNCHECKED = ("tests",)


def table_of(stem):
    """The mangled name of the table of isa/STEM.cc: avx512_bf16 -> attn::kAvx512Bf16Kernels."""
    name = "k" + "".join(part.capitalize() for part in stem.split("_")) + "Kernels"
    return f"_ZN4attn{len(name)}{name}E"


def symbol_mistakes(stem, nm_text):
    """What is wrong with the symbols of isa/STEM.cc's object, as nm lists them."""
    mistakes, table = [], table_of(stem)
    symbols = [match.groups() for match in re.finditer(r"^\S+ (\w) (\S+)$", nm_text, re.MULTILINE)]
    for kind, name in symbols:
        if kind in "WVu":
            mistakes.append(f"{name} may be linked in for other processors: give it internal "
                            "linkage (type a template by an anonymous namespace) or inline it")
        elif kind.isupper() and name != table:
            mistakes.append(f"{name} is global: only {table} may be")
        elif name.startswith("_GLOBAL__sub_I"):
            mistakes.append(f"{name} runs at start, on every processor")
    if not any(kind.isupper() and name == table for kind, name in symbols):
        mistakes.append(f"{table} is missing")
    return mistakes


def command_mistakes(root, commands):
    """What is wrong with how files outside the folder are compiled, and how many were looked at."""
    mistakes, count = [], 0
    for command in commands:
        path = pathlib.Path(command["directory"], command["file"])
        relative = path.relative_to(root) if path.is_relative_to(root) else path
        if relative.parts[0] in UNCHECKED or relative.as_posix().startswith(f"{ISA_FOLDER}/"):
            continue
        count += 1
        options = command.get("arguments") or shlex.split(command["command"])
        for option in options:
            if option.startswith(MACHINE_OPTION):
                mistakes.append(f"{relative}: compiled with {option}")
    return mistakes, count


def check(root, commands, nm, objects):
    mistakes, count = command_mistakes(root, commands)
    if count == 0:
        mistakes.append("no compilation found: is this the file of this repository?")
    in_folder = {pathlib.Path(path).name: path for path in objects
                 if pathlib.Path(path).parent.as_posix().endswith("/isa")}
    sources = sorted((root / ISA_FOLDER).glob("*.cc"))
    for source in sources:
        path = in_folder.get(f"{source.name}.o")
        if path is None:
            mistakes.append(f"{source.relative_to(root)}: has no object of its own")
            continue
        text = subprocess.run([nm, "--defined-only", path], check=True, capture_output=True,
                              text=True).stdout
        mistakes += [f"{source.name}: {mistake}" for mistake in symbol_mistakes(source.stem, text)]
    if not sources:
        mistakes.append(f"no sources in {ISA_FOLDER}")
    return mistakes, count, len(sources)


TABLE = "0000000000000000 D _ZN4attn12kAvx2KernelsE\n"

# (what nm lists for avx2.cc, number of mistakes)
SYMBOL_CASES = [
    (TABLE, 0),
    (TABLE.replace(" D ", " R "), 0),
    (TABLE + "0000000000000000 t _ZN4attn12_GLOBAL__N_13RunEv\n", 0),
    (TABLE + "0000000000000040 r .LC1\n0000000000000000 b _ZStL8__ioinit\n", 0),
    (TABLE + "0000000000000000 W _ZSt3minIlERKT_S2_S2_\n", 1),
    (TABLE + "0000000000000000 V _ZN4attn6kTableE\n", 1),
    (TABLE + "0000000000000000 u _ZN4attn6kTableE\n", 1),
    (TABLE + "0000000000000000 T _ZN4attn3RunEv\n", 1),
    (TABLE + "0000000000000000 R _ZN4attn13kAvx512KernelsE\n", 1),
    (TABLE + "0000000000000000 t _GLOBAL__sub_I__ZN4attn12kAvx2KernelsE\n", 1),
    (TABLE.replace(" D ", " d "), 1),
    ("", 1),
]

# (file, its command, number of mistakes)
COMMAND_CASES = [
    ("kernels/core/mask.cc", "g++ -O3 -Wall -DNAME=-mavx -c mask.cc", 0),
    ("kernels/core/mask.cc", "g++ -O3 -mavx2 -mfma -c mask.cc", 2),
    ("kernels/engines/cpu/plan_engine.cc", "g++ -march=native -c plan_engine.cc", 1),
    ("kernels/engines/cpu/isa/avx2.cc", "g++ -mavx2 -c avx2.cc", 0),
    ("tests/bench/peak.cc", "g++ -mavx512f -c peak.cc", 0),
]


def self_test():
    failures = []
    for text, expected in SYMBOL_CASES:
        mistakes = symbol_mistakes("avx2", text)
        if len(mistakes) != expected:
            failures.append(f"{text!r}: {expected} mistakes expected, found {mistakes}")
    for path, command, expected in COMMAND_CASES:
        entry = {"directory": "/source", "file": f"/source/{path}", "command": command}
        mistakes, _ = command_mistakes(pathlib.Path("/source"), [entry])
        if len(mistakes) != expected:
            failures.append(f"{path}: {command}: {expected} mistakes expected, found {mistakes}")
    return failures


def main(arguments):
    if arguments == ["--self_test"]:
        failures = self_test()
        cases = len(SYMBOL_CASES) + len(COMMAND_CASES)
        print("\n".join(failures) or f"{cases} cases as expected")
        return 1 if failures else 0
    if len(arguments) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    root, commands, nm, *objects = arguments
    mistakes, compiled, sources = check(pathlib.Path(root),
                                        json.loads(pathlib.Path(commands).read_text()), nm, objects)
    print("\n".join(mistakes) or f"{compiled} files for the plain processor, {sources} apart")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
