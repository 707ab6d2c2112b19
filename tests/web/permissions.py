"""Writes the table of permissions into docs/security.md: python -m tests.web.permissions."""

from pathlib import Path

from trinetra.web.access import PERMISSIONS, Permission, Role

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
_BEGIN, _END = "<!-- permissions:", "<!-- end of permissions -->"


def table() -> str:
    """Return the table of the permissions of each role, in Markdown."""
    head = f"| permission | {' | '.join(Role)} |\n|---|{'---|' * len(Role)}\n"
    rows = (
        f"| `{each}` | {' | '.join('yes' if each in PERMISSIONS[role] else '' for role in Role)} |"
        for each in Permission
    )
    return head + "\n".join(rows) + "\n"


def with_table(page: str) -> str:
    """Return the page with the present table between its marks."""
    before, mark, rest = page.partition(_BEGIN)
    line, _, after = rest.partition("\n")
    return f"{before}{mark}{line}\n\n{table()}\n{_END}{after.partition(_END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
