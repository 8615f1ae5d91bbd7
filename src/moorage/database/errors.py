"""What can go wrong with the database itself."""

from moorage.core.errors import Problem


class DatabaseUnavailable(Problem):
    """The database did not answer; try again later."""

    status, code = 503, "database.unavailable"


class DatabaseFull(DatabaseUnavailable):
    """The disk that the database is on is full; nothing was changed."""

    code = "database.full"


class SchemaTooNew(Problem):
    """
    The database was changed by a newer release of Moorage ({unknown}); this release knows the schema up to {newest}.
    Start the newer release, or restore a copy from before its first start.
    """

    status, code = 500, "database.too-new"
