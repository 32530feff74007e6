"""Images, built by buildah into a store of the test's own: no container engine, no registry but for
what BASE names."""

import json
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OUR_BASE = "localhost/pima-base"
# By itself buildah asks for more processes than some machines allow root.
_PROCESSES = resource.getrlimit(resource.RLIMIT_NPROC)[1]
_LIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", f"nproc={_PROCESSES}:{_PROCESSES}")
_CERTIFICATES = Path("/etc/ssl/certs")


@dataclass(frozen=True)
class Images:
    """A store of images in a folder, which is deleted with it."""

    folder: Path

    def buildah(self, *arguments: str) -> str:
        """Run buildah on this store; what it prints."""
        return subprocess.check_output([*self.command(), *arguments], text=True, cwd=ROOT).strip()

    def command(self) -> list[str]:
        """The start of every command line; vfs and chroot ask for no more than root, not even
        overlay mounts."""
        store = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        return ["buildah", *store, "--storage-driver", "vfs"]

    def make_base(self) -> None:
        """A slim Debian with its own Python, by debootstrap, as OUR_BASE."""
        tree = self.folder / "base"
        packages = "python3,python3-venv,ca-certificates"
        command = ["debootstrap", "--variant=minbase", f"--include={packages}", "trixie", str(tree)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (tree / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        container = self.buildah("from", "scratch")
        self.buildah("copy", "--quiet", container, str(tree), "/")
        self.buildah(
            "config", "--env", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container
        )
        self.buildah("commit", "--quiet", "--rm", container, OUR_BASE)
        shutil.rmtree(tree)

    def build(self, target: str, base: str) -> str:
        """Build a target of the Dockerfile; the image's name. pip trusts whom this machine
        trusts."""
        name = f"localhost/pima-{target}"
        command = [
            "build",
            "--isolation",
            "chroot",
            "--format",
            "docker",
            "--layers=false",
            *_LIMITS,
        ]
        command += [
            "--pull=missing",
            "--build-arg",
            f"BASE={base}",
            "--volume",
            f"{_CERTIFICATES}:{_CERTIFICATES}:ro",
        ]
        self.buildah(*command, "--quiet", "--target", target, "--tag", name, ".")
        return name

    def container(self, image: str) -> "Container":
        """A container of an image, ready to run commands in."""
        name = self.buildah("from", "--pull=missing", *_LIMITS, image)
        config = json.loads(self.buildah("inspect", name))["Docker"]["config"]
        return Container(self, name, Path(self.buildah("mount", name)), config)

    def delete(self) -> None:
        """All containers, so that nothing is mounted, and the folder with everything in it."""
        self.buildah("rm", "--all")
        shutil.rmtree(self.folder)


@dataclass(frozen=True)
class Container:
    """A container: its files on this machine, and what the image says about running it."""

    images: Images
    name: str
    root: Path
    config: dict[str, Any]

    def bytes_unpacked(self) -> int:
        """The sizes of all its files together."""
        command = ["du", "--summarize", "--bytes", "--one-file-system", str(self.root)]
        return int(subprocess.check_output(command, text=True).split()[0])

    def run(self, *command: str, shared: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """`buildah run`: the image's user and environment, no capability; its root can be written
        to by its owner."""
        options = [part for name, value in environ.items() for part in ("--env", f"{name}={value}")]
        options += ["--isolation", "chroot", "--cap-drop", "all", "--volume", f"{shared}:/mnt:ro"]
        line = [*self.images.command(), "run", *options, self.name, "--", *command]
        return subprocess.run(line, capture_output=True, text=True, timeout=600)

    def start_hardened(
        self, command: list[str], shared: Path, **environ: str
    ) -> subprocess.Popen[str]:
        """Start a command as compose.yaml has it: a root that is read-only for everybody, a tmpfs
        /tmp, the image's user, no capability, no new privileges, the command as process 1; `shared`
        is /mnt."""
        values = [
            *self.config["Env"],
            "HOME=/tmp",
            *(f"{name}={value}" for name, value in environ.items()),
        ]
        user, _, group = self.config["User"].partition(":")
        inside = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs"]
        inside += [
            "--bounding-set=-all",
            "--inh-caps=-all",
            "env",
            "-i",
            "-C",
            self.config["WorkingDir"],
            *values,
        ]
        script = Path(__file__).with_name("hardened.sh")
        line = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            str(script),
            str(self.root),
            str(shared),
        ]
        return subprocess.Popen(
            [*line, *inside, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        )

    def run_hardened(
        self, *command: str, shared: Path, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """The same to its end."""
        process = self.start_hardened(list(command), shared, **environ)
        stdout, stderr = process.communicate(timeout=600)
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
