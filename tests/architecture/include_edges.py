#!/usr/bin/env python3
"""Checks which folder includes which, by reading the #include lines of the C++ files.

  include_edges.py ROOT         exit 1 and a list, if ROOT has an edge that LAYERS does not allow
  include_edges.py --self_test  exit 1 if the checker itself overlooks something
"""

import fnmatch
import pathlib
import re
import sys
import tempfile
from typing import NamedTuple

# A layer is a folder with its subfolders; of a folder that holds other layers, its own files alone,
# so that a new subfolder must be named here. A pattern's `*` stands for one folder, each a layer of
# its own: methods and engines never include one another.
# `layers` it may include besides itself: layers, or single headers where no more is meant.
# `external` families of headers it may include besides the system's.
class Layer(NamedTuple):
    layers: tuple = ()
    external: tuple = ("absl",)


LAYERS = {
    # The compute library knows no gRPC, no protobuf, no YAML, no Prometheus.
    "kernels/core": Layer(),
    "kernels/methods/*": Layer(("kernels/core",)),
    "kernels/engines/*": Layer(("kernels/core",)),
    "kernels/engines/cuda": Layer(("kernels/core",), ("absl", "cuda")),
    "kernels/engines/cudnn": Layer(("kernels/core",), ("absl", "cuda")),
    # builtin_backends: the list that puts methods and engines together.
    "kernels": Layer(
        ("kernels/core", "kernels/methods/*", "kernels/engines/*", "kernels/stages")),
    # What every backend's calls pass through, and backends from outside.
    "kernels/stages": Layer(("kernels/core",)),
    "kernels/plugins": Layer(("kernels/core",)),
    # Generated code and the .proto files.
    "proto": Layer((), ("absl", "grpc", "protobuf")),
    # Pure: testable without a server.
    "server/policy": Layer(("kernels/core",)),
    "server/executor": Layer(("kernels/core",)),
    # The wire, for the server and the client.
    "server/transport": Layer(
        ("kernels/core", "proto"), ("absl", "grpc", "json", "openssl", "protobuf")),
    "server/services": Layer(
        ("kernels/core", "proto", "server/executor", "server/policy", "server/transport"),
        ("absl", "grpc", "openssl", "protobuf")),
    # Observes calls and reaches nothing else of the executor.
    "server/telemetry": Layer(
        ("kernels/core", "server/executor/call_observer.h", "server/executor/priority.h",
         "server/executor/refusal.h", "server/executor/stage_times.h"),
        ("absl", "json", "prometheus")),
    "server/config": Layer(("kernels/core", "server/policy"), ("absl", "yaml")),
    # The parts put together, but for the backends and main.
    "server/app": Layer(
        ("kernels/core", "kernels/plugins", "server/config", "server/executor", "server/policy",
         "server/services", "server/telemetry", "server/transport")),
    # The composition root.
    "server": Layer(
        ("kernels", "kernels/core", "kernels/engines/cpu/cpu_isa.h", "kernels/plugins",
         "server/app", "server/config", "server/executor", "server/policy", "server/services",
         "server/telemetry"),
        ("absl", "grpc")),
    # No server but the codec, no compute but the vocabulary.
    "client": Layer(
        ("kernels/core", "proto", "server/transport"), ("absl", "grpc", "protobuf")),
    "client/golden": Layer(("kernels/core",), ("absl", "json")),
    "client/mask": Layer(("kernels/core",), ("absl", "png")),
    # Load and its measurement; the command line stands above it.
    "client/load": Layer(
        ("client", "client/golden", "kernels/core", "proto", "server/transport"),
        ("absl", "json", "protobuf")),
    "client/cli": Layer(
        ("client", "client/golden", "client/load", "client/mask", "kernels/core", "proto",
         "server/transport"),
        ("absl", "cli", "grpc", "json", "protobuf")),
}

# Whose includes are free: tests, the benchmarks among them.
UNCHECKED = ("tests",)

# Headers of the world outside, by how they begin. What is in no family and written with <> is the
# system's.
FAMILIES = {
    "absl": ("absl/",),
    "grpc": ("grpc/", "grpcpp/", "grpc++/"),
    "protobuf": ("google/protobuf/",),
    "prometheus": ("prometheus/", "civetweb.h", "CivetServer.h"),
    "yaml": ("yaml-cpp/",),
    "json": ("nlohmann/",),
    "cli": ("CLI/",),
    "png": ("png.h",),
    "openssl": ("openssl/",),
    "cuda": ("cuda", "cudnn", "cublas", "cute/", "cutlass/", "nvml.h", "nvtx3/", "cub/"),
    "test": ("gtest/", "gmock/", "benchmark/"),
}

SUFFIXES = {".h", ".cc", ".cpp", ".hpp", ".cu", ".cuh", ".inc"}
SKIPPED_FOLDERS = {"build", "__pycache__"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def layer_of(path):
    """The pattern and the folder of the layer that `path` stands in, or None."""
    own_folder = pathlib.PurePosixPath(path).parent
    for folder in (own_folder, *own_folder.parents):
        for pattern in sorted(LAYERS, key=lambda p: "*" in p):  # Exact names before patterns.
            if pattern.count("/") + 1 != len(folder.parts):
                continue
            if fnmatch.fnmatchcase(str(folder), pattern):
                holds_layers = any(other.startswith(f"{pattern}/") for other in LAYERS)
                return None if holds_layers and folder != own_folder else (pattern, str(folder))
    return None


def family_of(header):
    for family, prefixes in FAMILIES.items():
        if header.startswith(prefixes):
            return family
    return None


def is_generated(root, header):
    proto = re.sub(r"(\.grpc)?\.pb\.h$", ".proto", header)
    return proto != header and (root / proto).is_file()


def check_include(root, path, quoted, header):
    """What is wrong with `path` including `header`, or None."""
    pattern, folder = layer_of(path)
    allowed = LAYERS[pattern]
    family = family_of(header)
    if family is not None:
        return None if family in allowed.external else f"{folder} may not include {family} headers"
    if not quoted:
        # <> finds the repository's headers as well as the system's.
        if (root / header).is_file():
            return "a header of the repository stands in <>"
        return None
    if not (root / header).is_file() and not is_generated(root, header):
        return "neither a file of the repository (named from its root) nor a known library"
    target = layer_of(header)
    if target is None:
        return f"{folder} may not include what stands in no layer"
    if target[1] == folder or header in allowed.layers or target[0] in allowed.layers:
        return None
    return f"{folder} may not include {target[1]}"


def cpp_files(root):
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        hidden = any(p.startswith(".") or p in SKIPPED_FOLDERS for p in relative.parts[:-1])
        if path.suffix in SUFFIXES and path.is_file() and not hidden:
            yield relative


def check(root):
    """All mistakes below `root`, and how many includes were read."""
    mistakes, count = [], 0
    for relative in cpp_files(root):
        path = relative.as_posix()
        if relative.parts[0] in UNCHECKED:
            continue
        if layer_of(path) is None:
            mistakes.append(f"{path}:1: stands in no layer: add its folder to LAYERS")
            continue
        for number, line in enumerate((root / relative).read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match is None:
                continue
            count += 1
            mistake = check_include(root, path, match[1] == '"', match[2])
            if mistake is not None:
                mistakes.append(f"{path}:{number}: {match[2]}: {mistake}")
    return mistakes, count


# (including file, its line, whether it is allowed). Every file named in quotes exists.
SELF_TEST = [
    ("kernels/core/mask.cc", '#include "kernels/core/mask.h"', True),
    ("kernels/core/mask.cc", "#include <vector>", True),
    ("kernels/core/mask.cc", '#include "absl/status/status.h"', True),
    ("kernels/core/mask.cc", '// #include "server/policy/selection.h"', True),
    ("kernels/core/mask.cc", '#include "server/policy/selection.h"', False),
    ("kernels/core/mask.cc", '#include "kernels/builtin_backends.h"', False),
    ("kernels/core/mask.cc", "#include <grpcpp/grpcpp.h>", False),
    ("kernels/core/mask.cc", '#include "mask.h"', False),
    ("kernels/core/mask.cc", "#include <kernels/core/mask.h>", False),
    ("kernels/methods/psa/plan.cc", '#include "kernels/methods/psa/plan.h"', True),
    ("kernels/methods/psa/plan.cc", '#include "kernels/core/mask.h"', True),
    ("kernels/methods/psa/plan.cc", '#include "kernels/methods/vsa/plan.h"', False),
    ("kernels/methods/psa/plan.cc", '#include "kernels/engines/cpu/flash.h"', False),
    ("kernels/engines/cpu/flash.cc", '#include "kernels/engines/cuda/flash.h"', False),
    ("kernels/engines/cpu/flash.cc", "#include <cuda_runtime.h>", False),
    ("kernels/engines/cpu/sub/dot.cc", '#include "kernels/engines/cpu/flash.h"', True),
    ("kernels/engines/cuda/flash.cu", "#include <cuda_runtime.h>", True),
    ("kernels/builtin_backends.cc", '#include "kernels/methods/vsa/plan.h"', True),
    ("server/policy/selection.cc", '#include "proto/attention/v1/attention.pb.h"', False),
    ("server/policy/selection.cc", '#include "server/executor/executor.h"', False),
    ("server/policy/selection.cc", "#  include <yaml-cpp/yaml.h>", False),
    ("server/transport/codec.cc", '#include "proto/attention/v1/attention.grpc.pb.h"', True),
    ("server/transport/codec.cc", '#include "proto/attention/v1/absent.pb.h"', False),
    ("server/transport/codec.cc", '#include "server/policy/selection.h"', False),
    ("server/services/server.cc", '#include "server/executor/executor.h"', True),
    ("server/services/server.cc", '#include "kernels/engines/cpu/flash.h"', False),
    ("server/telemetry/metrics.cc", '#include "server/executor/call_observer.h"', True),
    ("server/telemetry/metrics.cc", '#include "server/executor/executor.h"', False),
    ("server/config/presets.cc", "#include <yaml-cpp/yaml.h>", True),
    ("server/main.cc", '#include "server/services/server.h"', True),
    ("server/main.cc", '#include "server/app/reload.h"', True),
    ("server/main.cc", '#include "kernels/engines/cpu/cpu_isa.h"', True),
    ("server/main.cc", '#include "kernels/engines/cpu/flash.h"', False),
    ("server/main.cc", '#include "client/attention_client.h"', False),
    ("server/app/reload.cc", '#include "server/config/flags.h"', True),
    ("server/app/reload.cc", '#include "kernels/builtin_backends.h"', False),
    ("client/attention_client.cc", '#include "server/transport/codec.h"', True),
    ("client/attention_client.cc", '#include "server/policy/selection.h"', False),
    ("client/cli/main.cc", '#include "kernels/builtin_backends.h"', False),
    ("elsewhere/new.cc", "", False),
    ("server/new/new.cc", "", False),
    ("kernels/methods/new.cc", "", False),
    ("tests/policy_test.cc", '#include "server/policy/selection.h"', True),
]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def self_test():
    """Every case alone in a tree, and all of them in one."""
    headers = [match[2] for _, line, _ in SELF_TEST if (match := INCLUDE.match(line.strip("/ ")))]
    failures = []
    cases = [[case] for case in SELF_TEST] + [SELF_TEST]
    for case_list in cases:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            write(root / "proto/attention/v1/attention.proto", "")
            for header in headers:
                if family_of(header) is None and "/" in header and not header.endswith(".pb.h"):
                    write(root / header, "")
            lines = {}
            for path, line, _ in case_list:
                lines.setdefault(path, []).append(line)
            for path, text in lines.items():
                write(root / path, "\n".join(text) + "\n")
            mistakes, _ = check(root)
            expected = sum(not allowed for _, _, allowed in case_list)
            if len(mistakes) != expected:
                failures.append(f"{case_list[0][0]}: {case_list[0][1]} ({len(case_list)} lines): "
                                f"{expected} mistakes expected, found {mistakes}")
    return failures


def main(arguments):
    if arguments == ["--self_test"]:
        failures = self_test()
        print("\n".join(failures) or f"{len(SELF_TEST)} cases as expected")
        return 1 if failures else 0
    if len(arguments) != 1 or not pathlib.Path(arguments[0]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    mistakes, count = check(pathlib.Path(arguments[0]))
    if count == 0:
        mistakes.append("no #include found: is this the root of the repository?")
    print("\n".join(mistakes) or f"{count} includes, every edge allowed")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
