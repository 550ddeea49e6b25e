"""What pyproject.toml cannot say: the ledger lives with the book, and goes into the wheel."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

LEDGER = ["book/claims.yml", *map(str, sorted(Path("book/results").glob("*")))]


class WithLedger(build_py):
    """Copies claims, results and verdicts to `splinelab/claims/book` of what is built."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in LEDGER:
                target = Path(self.build_lib, "splinelab/claims", name)
                target.parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(name, str(target))


setup(cmdclass={"build_py": WithLedger})
