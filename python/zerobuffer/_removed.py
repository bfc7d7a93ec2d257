"""The message for modules of 1.x that a compiled core has no use for."""


def error(module: str) -> ImportError:
    """Return the error that importing ``module`` raises."""
    return ImportError(
        f"{module} was an inner module of zerobuffer-ipc 1.x and does not exist in 2.x; "
        "docs/migration-python.md, the migration page in the source distribution, says what takes its place",
        name=module,
    )
