"""The ledger: where every delivery is, from the commit to its end.

Keys
    All keys of one integration share the hash tag `{ID}`, so that one script may touch them. Times are in ms.

    courier:{ID}:records   hash        delivery id → record: a header (times, attempts, history), the alert's bytes
    courier:{ID}:waiting   sorted set  delivery id by due time
    courier:{ID}:released  sorted set  delivery id by lease expiry: published to Celery, or in a worker's hands
    courier:{ID}:leases    hash        delivery id → token of the worker that has begun it
    courier:{ID}:dead      sorted set  delivery id by time of death
    courier:{ID}:cursor    hash        manager node → its position in its alert log
    courier:{ID}:control   hash        the last error (rates, breakers and pauses will stand here)
    courier:{ID}:totals    hash        counters by outcome and reason; bytes held

A delivery id is in exactly one of waiting, released and dead, and has a record as long as it is in one of them.

Who moves what
    commit    producer          nothing → waiting, and the cursor; refused if the cursor is not the one expected
    release   anybody           waiting → released, then published to the integration's Celery queue
    begin     worker            released: takes the lease; settled or taken ids are left out
    renew     worker            released: extends the lease while it works
    settle    worker            released → gone (delivered, skipped), waiting (retry) or dead
    reap      anybody           released → waiting when a lease expires
    replay    operator          dead → waiting
    discard   operator          dead → gone
    move      operator          dead → waiting of another integration
    bury      operator          waiting → dead

Each is one Lua script, so nothing is ever half done. They may run anywhere, any number at once.

What a crash leaves behind
    between commit and release     waiting: the next release takes it
    between release and publish    released, never begun: reaped once the lease expires, if it is not in the queue
    queue messages lost            the same
    a message delivered twice      the second `begin` leaves its ids out
    a worker dies while sending    the lease expires: reaped, one lost attempt; perhaps sent twice
    between answer and settle      the same: this is the one duplicate that cannot be avoided
    Redis forgets its last second  the cursor is as old as the deliveries: the producer reads on from there

Nothing here expires by itself: only settle and discard forget a delivery.
"""

from common.ledger.ledger import Commit, DeadLetter, Event, Full, Ledger, Reaped, Settlement, Stale, Status, Stored
from common.ledger.record import Attempt, Delivery, Header

__all__ = [
    "Attempt",
    "Commit",
    "DeadLetter",
    "Delivery",
    "Event",
    "Full",
    "Header",
    "Ledger",
    "Reaped",
    "Settlement",
    "Stale",
    "Status",
    "Stored",
]
