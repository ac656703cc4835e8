"""The container image without a container engine: the Dockerfile's own commands make its file tree,
and what the Dockerfile starts runs in it as in an image: its own root, read-only, not as root."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import attnd_process
from attnd_process import BUILD, SOURCE, Attnd

INSTALL_TREE = "deploy/container/install_tree.sh"

# $1: the tree; $2: --userspec of chroot or ""; then the command. exec all through, so that
# signals reach the command.
RUN_IN_TREE = """
mount --bind "$1" "$1"
mount --bind "$1/run/attnd" "$1/run/attnd"
mount --rbind /proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -o remount,bind,ro "$1"
root=$1; user=$2; shift 2
exec chroot $user "$root" "$@"
"""


class Stage:
    """A stage of a Dockerfile: [(instruction, the rest of it)], those of the stages below first."""

    def __init__(self, below):
        self.instructions = list(below)

    def last(self, name):
        return next(rest for word, rest in reversed(self.instructions) if word == name)

    def all(self, name):
        return [rest for word, rest in self.instructions if word == name]


def parse_dockerfile():
    """{name: Stage} of the repository's Dockerfile."""
    text = re.sub(r"^\s*#.*\n", "", (SOURCE / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages = {}
    stage = None
    for line in text.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            stage = Stage(stages[base].instructions if base in stages else [("FROM", base)])
            stages[name] = stage
        elif word:
            stage.instructions.append((word, " ".join(rest.split())))
    return stages


def install_tree(root, *libraries):
    """Makes the tree in `root` as the Dockerfile does."""
    return subprocess.run([str(SOURCE / INSTALL_TREE), str(BUILD), str(root), *libraries],
                          capture_output=True, text=True)


class DockerfileTest(unittest.TestCase):

    def setUp(self):
        self.stages = parse_dockerfile()

    def test_hadolint_finds_nothing(self):
        done = subprocess.run([attnd_process.tool("hadolint"), SOURCE / "Dockerfile"],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)

    def test_both_images_are_the_tree_that_is_tested(self):
        for name in ("cpu", "cuda"):
            with self.subTest(name):
                self.assertEqual(self.stages[name].last("FROM"), "debian:12-slim")
                copies = self.stages[name].all("COPY")
                self.assertEqual(copies, [f"--from=build-{name} /tree/{folder}/ /{folder}/"
                                          for folder in ("etc", "usr")])
                build = self.stages[f"build-{name}"].last("RUN")
                self.assertIn(f"&& {INSTALL_TREE} build/release /tree", build)

    def test_labels_say_what_it_is_of_which_version(self):
        for name in ("cpu", "cuda"):
            labels = self.stages[name].last("LABEL")
            for label in ("title", "description", "version", "revision", "source", "base.name"):
                self.assertRegex(labels, rf'org\.opencontainers\.image\.{label}="[^"]+"')
        cmake = (SOURCE / "CMakeLists.txt").read_text()
        project = re.search(r"project\(attnd VERSION (\S+)", cmake)
        self.assertIn(f"VERSION={project[1]}", self.stages["cpu"].all("ARG"))

    def test_the_build_context_is_enough_and_small(self):
        lines = (SOURCE / ".dockerignore").read_text().splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]
        self.assertEqual(rules[0], "*")
        flags = re.search(r"cmake --preset release (\S+ \S+)", self.stages["build-cpu"].last("RUN"))
        with tempfile.TemporaryDirectory() as folder:
            context = pathlib.Path(folder)
            for rule in rules[1:]:
                name = rule.removeprefix("!")
                (context / name).parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (SOURCE / name).is_dir() else shutil.copy
                copy(SOURCE / name, context / name)
            done = subprocess.run(["cmake", "--preset", "release", *flags[1].split()], cwd=context,
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue((context / INSTALL_TREE).exists())
            size = sum(file.stat().st_size for file in context.glob("[!b]*/**/*") if file.is_file())
            self.assertLess(size, 16 << 20)


class InstallTreeTest(unittest.TestCase):

    def test_a_library_that_is_loaded_at_run_time_comes_along(self):
        found = subprocess.run(["ldd", "/bin/ls"], capture_output=True, text=True, check=True)
        library = re.search(r"=> (\S+/libselinux\S+)", found.stdout)
        if library is None:
            self.skipTest("this system's ls needs no libselinux, to be taken as an example")
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder) / "tree"
            done = install_tree(root, library[1])
            self.assertEqual(done.returncode, 0, done.stderr)
            names = {path.name for path in root.glob("usr/lib/*/lib*")}
            self.assertIn(pathlib.Path(library[1]).name, names)
            self.assertIn("libpcre2-8.so.0", names)  # What libselinux needs in its turn.

    def test_a_library_that_is_missing_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            done = install_tree(pathlib.Path(folder) / "tree", "/no/such/library.so")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("/no/such/library.so", done.stderr)

    def test_a_folder_that_is_there_is_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            done = install_tree(folder)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(os.listdir(folder), [])


class TreeTest(unittest.TestCase):
    """Runs what the image holds."""

    @classmethod
    def setUpClass(cls):
        cls.image = parse_dockerfile()["cpu"]
        cls.user = cls.image.last("USER")
        # Root becomes the image's user; anybody else is not root anyway, only called so inside.
        is_root = os.geteuid() == 0
        cls.unshare = ["unshare", "--mount", *([] if is_root else ["--map-root-user"])]
        cls.userspec = f"--userspec={cls.user}" if is_root else ""
        able = subprocess.run([*cls.unshare, "chroot", "/", "true"], capture_output=True, text=True)
        if able.returncode != 0:
            raise unittest.SkipTest(f"no mount namespace to be had here: {able.stderr}")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        cls.root = pathlib.Path(folder.name) / "tree"
        done = install_tree(cls.root)
        if done.returncode != 0:
            raise AssertionError(f"{INSTALL_TREE}: {done.stderr}")

    def in_tree(self, *command):
        """The command line that runs `command` in the tree."""
        return [*self.unshare, "sh", "-ec", RUN_IN_TREE, "sh", str(self.root), self.userspec,
                *command]

    def run_in_tree(self, *command):
        done = subprocess.run(self.in_tree(*command), capture_output=True, text=True, timeout=60,
                              env={})
        self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def files(self):
        """{path: time of the last change} of the tree, without the one place to write to."""
        paths = [path for path in self.root.rglob("*") if "run/attnd" not in str(path)]
        return {path: path.lstat().st_mtime_ns for path in paths}

    def test_the_tree_is_root_s_alone_but_for_one_folder(self):
        for path in self.files():
            if path.is_symlink() or path == self.root / "tmp":
                continue
            self.assertEqual(path.stat().st_mode & 0o022, 0, path)
            self.assertEqual(path.stat().st_mode & 0o004, 0o004, path)

    def test_every_shared_library_is_inside(self):
        loader = "/lib64/" + next(self.root.glob("usr/lib64/ld-linux*")).name
        for program in ("attnd", "attn"):
            listed = self.run_in_tree(loader, "--list", f"/usr/local/bin/{program}")
            libraries = [line.split()[2] for line in listed.splitlines() if "=>" in line]
            self.assertGreater(len(libraries), 10)
            for library in libraries:
                self.assertTrue((self.root / library.removeprefix("/")).is_file(), library)

    def test_what_the_image_declares_is_in_the_tree(self):
        user, group = self.user.split(":")
        self.assertIn(f"attnd:x:{user}:{group}:", (self.root / "etc/passwd").read_text())
        health = json.loads(re.search(r"CMD (\[.*\])", self.image.last("HEALTHCHECK"))[1])
        for path in (json.loads(self.image.last("ENTRYPOINT"))[0], health[0]):
            self.assertTrue(os.access(self.root / path.removeprefix("/"), os.X_OK), path)
        self.assertTrue((self.root / self.image.last("VOLUME").removeprefix("/")).is_dir())
        yaml = attnd_process.package("yaml")
        config = yaml.safe_load((self.root / "etc/attnd/server.yaml").read_text())
        addresses = [*config["listen"], config["metrics_listen"]]
        ports = self.image.last("EXPOSE").split()
        self.assertEqual(addresses, [f"0.0.0.0:{port}" for port in ports])
        # Without --server, so that the container's ATTN_SERVER and ATTN_TLS_* steer it.
        self.assertEqual(health[1:], ["--timeout", "2s", "health"])
        header = (SOURCE / "client/attention_client.h").read_text()
        self.assertIn(f'kDefaultServer[] = "localhost:{ports[0]}"', header)

    def test_the_chart_names_what_is_in_the_tree(self):
        yaml = attnd_process.package("yaml")
        values = yaml.safe_load((SOURCE / "deploy/helm/attnd/values.yaml").read_text())
        self.assertEqual(self.user, f"{values['runAsUser']}:{values['runAsUser']}")
        golden = self.root / values["test"]["goldenPath"].removeprefix("/")
        self.assertGreater(len(list(golden.glob("**/*.safetensors"))), 5)
        ports = [str(values["ports"][name]) for name in ("grpc", "metrics")]
        self.assertEqual(self.image.last("EXPOSE").split(), ports)

    def test_server_and_client_run_in_the_tree(self):
        command = json.loads(self.image.last("ENTRYPOINT")) + json.loads(self.image.last("CMD"))
        self.run_in_tree(*command, "--check_config")
        before = self.files()
        socket = "unix:/run/attnd/attnd.sock"
        server = Attnd("--listen", socket, command=self.in_tree(*command))
        self.addCleanup(server.kill)
        status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
        self.assertNotRegex(status, r"Uid:\s+0\s")

        attn = "/usr/local/bin/attn"
        for address in (server.address, socket):
            loaded = self.run_in_tree(attn, "--server", address, "--json", "load", "--shape",
                                      "1x2x33x64", "--requests", "5", "--warmup", "0")
            self.assertEqual(json.loads(loaded)["load"]["failed"], 0)
            self.run_in_tree(attn, "--server", address, "health")
        golden = "/usr/local/share/attnd/golden"
        self.run_in_tree(attn, "--server", server.address, "verify", golden)
        self.assertGreater(server.calls(), 10)

        self.assertEqual(server.stop(), 0, server.log())
        self.assertEqual(self.files(), before)
        self.assertFalse((self.root / "run/attnd/attnd.sock").exists())


if __name__ == "__main__":
    raise SystemExit(attnd_process.main())
