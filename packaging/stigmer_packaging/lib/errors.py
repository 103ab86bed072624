"""All errors of packaging, with their exit codes and remedies. The CLI prints `Error: …` and `Hint: …` and exits."""

from collections.abc import Iterable, Sequence
from pathlib import Path


class PackagingError(Exception):
    """A failure that the user can act on: the message says what happened, `remedy` what to do about it.

    `log` is the file with the output of the step that failed, or None if no step was running.
    """

    exit_code = 1
    remedy = "run the stage again with --verbose, and read its log"
    log: Path | None = None

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy or self.remedy


def raise_if_any(kind: type[PackagingError], reason: str, findings: Iterable[str], remedy: str = "") -> None:
    """Raise an error of `kind` that lists all findings, if there are any."""
    if found := list(findings):
        raise kind("\n  ".join([f"{reason}:", *found]), remedy)


class ManifestError(PackagingError):
    """The manifest has problems; all of them are listed, each with its line."""

    exit_code = 2
    remedy = "correct the manifest at the lines named"

    def __init__(self, problems: Sequence[str], name: str = "the manifest") -> None:
        super().__init__(f"{name} has problems:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = tuple(problems)


class MissingToolError(PackagingError):
    """A program that only an administrator can install is missing."""

    exit_code = 3


class CommandError(PackagingError):
    """A program failed or timed out."""

    exit_code = 4

    def __init__(self, command: Sequence[str], outcome: str, output: str) -> None:
        tail = "\n".join(f"  | {line}" for line in output.splitlines()[-20:])
        super().__init__(f"{command[0]} {outcome}: {' '.join(command)}\n{tail}".rstrip())
        self.output = output


class DownloadError(PackagingError):
    """A download failed or does not match its checksum."""

    exit_code = 5
    remedy = "check the network and the pinned version and sha256 in the manifest, then run again: it resumes"


class RecordError(PackagingError):
    """A record is missing, damaged, or does not match the files it describes."""

    exit_code = 6
    remedy = "run the stage that makes it again; damaged artefacts are rebuilt"


class GateError(PackagingError):
    """A gate of the freeze stage found that the bundle would be broken on a user's machine."""

    exit_code = 7
    remedy = "correct the locked environment of the frozen component; the finding names the distributions or modules"


class VerificationError(PackagingError):
    """Verification of the bottle failed on a fresh machine."""

    exit_code = 8
    remedy = "read the failed checks and the guest's log named above"


class SourceError(PackagingError):
    """A source does not match the manifest: a tree, ref or member is missing, or an executable is for another platform."""

    exit_code = 9
    remedy = "correct the component's source in the manifest, or the tree given with --checkout"


class ForeignTargetError(PackagingError):
    """A part cannot be made on this machine for the requested platform: a Mac freezes for its own platform only."""

    exit_code = 10
    remedy = "run this on Linux, which builds the bottles of all platforms"


class BusyError(PackagingError):
    """Another process is using this workspace."""

    exit_code = 11
    remedy = "wait until it has ended, or use another --workspace"


class KegError(PackagingError):
    """The parts do not fit into one keg: two of them own the same path, or one contains what a keg must not contain."""

    exit_code = 12
    remedy = "correct the component named above; a keg holds each path once, plain files, and relative links inside it"


class ArchiveError(PackagingError):
    """An archive is damaged, or contains a member that must not be unpacked."""

    exit_code = 13
    remedy = "remove the archive and run the stage that makes it again"


class AuditError(PackagingError):
    """A bottle has faults that users would meet; all of them are listed, each with its remedy."""

    exit_code = 14
    remedy = "follow the remedy of each finding, then make the bottle again"


class PublicationError(PackagingError):
    """The release may not be published, or something else is published already; nothing is overwritten."""

    exit_code = 20
    remedy = "fix the problems listed; a published release is never changed, so other contents need a higher version"


class GitHubError(PackagingError):
    """GitHub refused a request. `status` is the status code of its response."""

    exit_code = 21
    remedy = "read GitHub's answer, then run it again; it resumes"

    def __init__(self, message: str, status: int, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.status = status


class UnavailableError(PackagingError):
    """A server did not respond, dropped the connection, or asked us to wait `wait` seconds (0: it named no time)."""

    exit_code = 22
    remedy = "run it again later; it resumes and uploads nothing twice"

    def __init__(self, message: str, wait: float = 0) -> None:
        super().__init__(message)
        self.wait = wait


class TokenError(PackagingError):
    """A token is missing, expired, or lacks a permission. The message never contains the token."""

    exit_code = 23
    remedy = "set a valid token: docs/releasing.md says which one, and which permissions it needs"


class TapError(PackagingError):
    """The tap rejected the commit, or does not contain what it should."""

    exit_code = 24
    remedy = "read git's message; the release itself is not affected, and another run continues with the tap"


class WorkflowError(PackagingError):
    """The workflows disagree with the manifest, a linter objects to them, or the rehearsal of one failed."""

    exit_code = 25
    remedy = "correct .github/workflows, then run scripts/workflows"
