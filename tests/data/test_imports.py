"""What is dear to import is imported where it is used."""

import re
from pathlib import Path

import turncoat


def test_what_every_command_imports_does_not_wait_for_scikit_learn():
    """Of all packages it takes longest but torch; an audit needs it whatever it is asked."""
    folder = Path(turncoat.__file__).parent
    first = re.compile(r"^(from|import) sklearn\b", re.MULTILINE)
    found = {
        file.relative_to(folder).parts[0] for file in folder.rglob("*.py") if first.search(file.read_text())
    }
    assert found == {"auditing"}
