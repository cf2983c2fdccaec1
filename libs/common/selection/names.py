"""Which keys Spark would not read under their own names."""


def unreadable(key: str) -> str | None:
    """Why Spark would skip or misread this key without a word; None if it reads it under its exact name."""
    *folders, name = key.split("/")
    if not name:
        return "it ends with a slash"
    if name.startswith(("_", ".")):
        return f"Spark takes names that start with {name[0]!r} for hidden files"
    if name.endswith("._COPYING_"):
        return "Spark takes names that end with '._COPYING_' for files that are still being copied"
    if "" in folders:
        return "it has an empty folder name (two slashes in a row, or one at the start)"
    if "." in folders or ".." in folders:
        return "it has a folder named '.' or '..'"
    if any(ord(c) < 0x20 for c in key):
        return "it has a control character"
    return None
