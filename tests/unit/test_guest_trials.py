"""What a guest is asked to run: the verification script, with words that name the product under trial."""

from pathlib import Path

from stigmer_packaging.verify.guest import ProgramTrial, Task, Trial

TASK = Task(Path("scripts/verify-install"), "4f2a")


def test_a_bottle_is_tried_under_its_products_name() -> None:
    words = Trial(Path("b.tar.gz"), "greetings", "0.3.0", TASK).words("/verify.sh", "/prefix")
    assert words[words.index("--name") + 1] == "greetings"
    assert "/prefix/bin/greetings" in words


def test_a_single_file_is_tried_under_its_products_name_and_in_its_home() -> None:
    """Where it has unpacked itself before the script looks."""
    words = ProgramTrial(Path("greetings"), "greetings", "0.3.0", TASK).words("/verify.sh", bottle="/greetings")
    assert words[words.index("--name") + 1] == "greetings"
    assert '"$HOME"/.greetings/dist/*' in words[2]
    assert "stigmer/" not in words[2]
