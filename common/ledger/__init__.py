"""The ledger: where every delivery is, from the commit to its end.

Keys
    All keys of one integration share the hash tag `{ID}`, so that one script may touch them. Times are in ms.

    courier:{ID}:records   hash        delivery id → record: a header (times, attempts, history, last answer), the alert
    courier:{ID}:waiting   sorted set  delivery id by due time; 10^13 is added to that of one that has failed
    courier:{ID}:released  sorted set  delivery id by lease expiry: published to Celery, or in a worker's hands
    courier:{ID}:leases    hash        delivery id → token of the worker that has begun it
    courier:{ID}:dead      sorted set  delivery id by time of death
    courier:{ID}:cursor    hash        manager node → its position in its alert log; workers have no right to it
    courier:{ID}:control   hash        what holds it back: the operator's pause, the breaker; the last error; what the
                                       manager was told when
    courier:{ID}:totals    hash        counters by outcome and reason; bytes held
    courier:{ID}:spent     hash        delivery id → what it took of a quota, until it is begun

    All integrations with one credential share what its target allows; H is a keyed digest of the credential.

    courier:limits:{H}     hash        the pause that the target asked for, tokens of buckets, what went by unit of time
    courier:limits:{H}:min list        when how many went in the last 60 seconds, the oldest first
    courier:limits:{H}:h   list        the same of the last 60 minutes

A delivery id is in exactly one of waiting, released and dead, and has a record as long as it is in one of them.

Who moves what
    commit    producer          nothing → waiting, and the cursor; refused if the cursor is not the one expected
    release   anybody           waiting → released, then published to the integration's Celery queue
    begin     worker            released: takes the lease; settled or taken ids are left out; waiting if a hold began
    renew     worker            released: extends the lease while it works
    settle    worker            released → gone (delivered, skipped), waiting (retry, returned) or dead
    reap      anybody           released → waiting when a lease expires
    replay    operator          dead → waiting
    discard   operator          dead → gone
    move      operator          dead → waiting of another integration
    bury      operator          waiting → dead
    import    operator          nothing → dead, unless its id is there already
    retain    worker            dead → gone, beyond the age or the bytes that an operator wants to keep; off by default
    bury_unreadable  anybody         released → dead: its record or id cannot be read

Each is one Lua script, so nothing is ever half done. They may run anywhere, any number at once. One that moves
deliveries looks at the types of all keys before its first write: a key that somebody else wrote stops its integration
(LedgerDamaged), and the scripts of others in the same round trip run all the same. A malformed field is as
if it were absent.

Who is told
    fallback  settle, reap      the alert of what they find dead waits for another integration, too: its id with
                                `+fallback:ID`, and `fallback_of` in its header; that one has no further fallback
    manager   settle, reap      an event waits for `manager`: a breaker that opens, dead letters, what waits too long

What holds back
    operator  pause, resume     nothing is released
    target    Retry-After       nothing is released to any integration with its credential until then, bounded
    breaker   sick target, or   nothing is released until its time is over, then one probe, whose end decides: the
              it refuses all    newest delivery that has not failed, else the newest
    limits    rate_limits       as many are released as every limit allows: tokens are spent at the release
    cap       max_in_flight     as many as are missing in flight

What waits for any of them is a member of `waiting` and nothing else: no message, no worker, no attempt, and a release
that may not release asks for a few hash fields, however long the queue. What was released before a hold began is put
back by `begin`, at the head of the queue and with its share of a quota: its attempt has not happened. What was begun
but is not under way yet, the worker returns with its next `settle`; what is under way ends as ever.

A few deliveries that a target can't take hold up no others: each counts for the breaker with its first failure only,
none is a probe while another is due, and for a while they let go first what has not failed. A credential that changes
closes the breaker.

`settle` judges the target by each outcome. Only `settle` opens, extends and closes, only `release` goes from open to
half-open, both by the ledger's clock, so no hold depends on a process that lives. A clock that goes back lets nothing
more go than the limits allow, and prolongs no hold beyond its longest duration.

What a crash leaves behind
    between commit and release     waiting: the next release takes it
    between release and publish    released, never begun: reaped once the lease expires, if it is not in the queue
    queue messages lost            the same
    a message delivered twice      the second `begin` leaves its ids out
    a probe is lost                its lease expires like any other, and the next release sends another one
    a worker dies while sending    the lease expires: reaped, one lost attempt; perhaps sent twice
    between answer and settle      the same: this is the one duplicate that cannot be avoided
    Redis forgets its last second  the cursor is as old as the deliveries: the producer reads on from there

Nothing of a delivery expires by itself: only settle, discard and retain forget one, and count it. What a credential
shares goes two days after its last use, when no limit or pause can need it any more.
"""

from common.ledger.ledger import Ledger
from common.ledger.limits import UNLIMITED, Breaker, Limits
from common.ledger.notifications import NO_NOTIFICATIONS, Notifications
from common.ledger.record import Attempt, Delivery, FallbackOf, Header, LastResponse
from common.ledger.types import (
    CommitResult,
    DeadLetter,
    Event,
    Full,
    Reap,
    Reaped,
    Release,
    Settled,
    Settlement,
    Stale,
    Status,
    Stored,
)

__all__ = [
    "NO_NOTIFICATIONS",
    "UNLIMITED",
    "Attempt",
    "Breaker",
    "CommitResult",
    "DeadLetter",
    "Delivery",
    "Event",
    "FallbackOf",
    "Full",
    "Header",
    "LastResponse",
    "Ledger",
    "Limits",
    "Notifications",
    "Reap",
    "Reaped",
    "Release",
    "Settled",
    "Settlement",
    "Stale",
    "Status",
    "Stored",
]
