"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts of rows, batches of 10,000 rows, one-row posts, and seconds.

    small_rows, large_rows: what is stored when ingest is measured. batches: in each of `rounds` rounds.
    peer_batches: to the plain peer, whose time grows with what is stored. posts: one-row batches of each
    client. seconds: of each round of cached answers. commits: in the long log. symbols: of the universe read
    in process. import_rows: of the file that is imported. trades: of one symbol with a long history. logs,
    dates: symbols of a wide store, and event dates of each.
    """

    small_rows: int
    large_rows: int
    batches: int
    rounds: int
    peer_batches: int
    posts: int
    seconds: int
    symbols: int
    commits: int
    import_rows: int
    trades: int
    logs: int
    dates: int


FULL = Sizes(
    small_rows=1_000_000,
    large_rows=5_000_000,
    batches=10,
    rounds=5,
    peer_batches=3,
    posts=300,
    seconds=5,
    symbols=200,
    commits=1_000_000,
    import_rows=2_000_000,
    trades=10_000_000,
    logs=2_000,
    dates=250,
)
QUICK = Sizes(
    small_rows=100_000,
    large_rows=400_000,
    batches=5,
    rounds=3,
    peer_batches=2,
    posts=60,
    seconds=2,
    symbols=40,
    commits=50_000,
    import_rows=200_000,
    trades=400_000,
    logs=50,
    dates=20,
)
