"""The ledger: the state of every delivery in Redis, from the commit until it is delivered or deleted.

Keys of an integration
    All keys of one integration share the hash tag `{ID}`, so that one script can change them together. Times are in ms.

    courier:{ID}:records   hash        delivery id → record: a header (times, attempts, history, response), the alert
    courier:{ID}:waiting   sorted set  delivery id by due time; plus 10^13 if an attempt has failed
    courier:{ID}:released  sorted set  delivery id by lease expiry: published to Celery, or begun by a worker
    courier:{ID}:leases    hash        delivery id → token of the worker that has begun it
    courier:{ID}:dead      sorted set  delivery id by time of death
    courier:{ID}:cursor    hash        manager node → its position in its alert log; workers have no access to it
    courier:{ID}:control   hash        what blocks the integration (the operator's pause, the breaker), the last error,
                                       when the manager was last notified, until when deliveries are held
    courier:{ID}:totals    hash        counters by outcome and reason; stored bytes
    courier:{ID}:spent     hash        delivery id → the rate limit tokens it has spent, while it is in `released`
    courier:{ID}:history   stream      one entry for each delivery that ended (`history.py`), bounded by number and age
    courier:{ID}:groups    sorted set  open group of alerts by the end of its window; 0 if it must close now
    courier:{ID}:digest    hash        group → its state in JSON, GROUP:base and GROUP:1 … → what its digest shows of
                                       alerts; `alerts` → the number of alerts in all open groups
    courier:{ID}:silenced:SILENCE  hash  what a silence kept back: number, first and last time, number by rule; `closed`
                                       once its closing message is queued; expires 30 days after the silence's end.
                                       Workers have no access to it

    Integrations with the same credential share the limits of its target. H is a keyed digest of the credential.

    courier:limits:{H}     hash        the pause that the target requested, tokens of buckets, releases by unit of time
    courier:limits:{H}:min list        times and numbers of the releases of the last 60 seconds, the oldest first
    courier:limits:{H}:h   list        the same for the last 60 minutes

    A delivery id is in exactly one of waiting, released and dead. It has a record as long as it is in one of them.

Other keys in Redis
    These are not part of the ledger and no script below changes them.

    courier:integrations             hash    the integrations that the manager has published, signed
    courier:catalogue                hash    the ids and names of those integrations in clear text, for operators
    courier:silences                 hash    silence id → the silence, in JSON (`common.silences`)
    courier:node:NODE                hash    the last report of a node's producer, and counters
    courier:worker:NAME@HOST         hash    the last report of each worker process; expires after 5 minutes
    courier:lookups:{NAME}:DIGEST    string  a cached response of a look-up service; expires
    courier:asking:{NAME}:DIGEST     string  the worker that is asking that service now, so that no other asks; expires
    courier:test:{ID}:HEX            string  the result of a delivery of `courier test`; expires after 5 minutes
    courier.ID                       list    the Celery queue of an integration: tasks, each with delivery ids

State diagram
    commit --> waiting ----------------- release -----------------> released -- settle (delivered, skipped) --> deleted
               |  ^  ^                                              |   |
               |  |  '-- settle (retry, returned, postponed), reap -'   |
               |  '---- replay ---- dead <--- settle (dead), reap ------'
               '------- bury ----> dead -- discard, retain --> deleted

Scripts, who runs them and what they move
    commit    producer          nothing → waiting, groups, the cursor and counters; refused if the cursor is not the
                                expected one, or if a silence that it counts for has been closed
    close     producer          nothing → waiting: the closing message of a silence that ended, once
    release   any process       waiting → released; the caller then publishes to the integration's Celery queue. Before
                                that: up to 100 groups whose window has ended → waiting
    end_groups  producer        none: open groups of other settings close with the next release
    begin     worker            released: takes the lease; skips ids that are settled or taken; → waiting if blocked
    renew     worker            released: extends the lease while the worker sends
    settle    worker            released → deleted (delivered, skipped), waiting (retry, returned, postponed) or dead
    reap      any process       released → waiting when a lease expires; → dead after too many lost attempts
    replay    operator          dead → waiting
    discard   operator          dead → deleted
    move      operator          dead → waiting of another integration
    bury      operator          groups → waiting; waiting → dead
    let_go    operator          held deliveries wait no longer: they are due now; groups of held alerts end now
    import    operator          nothing → dead, unless the id is already there
    retain    worker            dead → deleted, beyond the configured age or size; off by default
    withdraw  operator          waiting, or released and not begun → deleted; only for deliveries of `courier test`
    bury_unreadable  any process     released → dead, if the record or id cannot be read
    trim_history  worker        none: sets the maximum length of the history, and deletes old entries

Each is one Lua script, so Redis runs it completely or not at all. Any number of processes may run them at the same
time. A script that moves deliveries checks the types of all its keys before its first write. A key of the wrong type,
written by another program, stops its integration (LedgerDamaged); scripts for other integrations in the same round trip
still run. A malformed field counts as absent.

Notifications
    fallback  settle, reap      a dead letter's alert is also queued for the fallback integration, with the id
                                `ID+fallback:INTEGRATION` and `fallback_of` in its header; it has no further fallback
    manager   settle, reap      an event is queued for `manager`: the breaker opens, dead letters, deliveries that lag

Tests
    A delivery of `courier test` has an id that begins with `test:`. It is committed, released, begun and settled like
    any other, but it gets one attempt. A failure is settled as skipped (`test_failed`): it says nothing about the
    target's health and causes no retry, dead letter, fallback or event. The worker writes the result under a key of its
    own, which no script changes.

History
    Each script that ends a delivery also adds an entry to the history of its integration, in the same step:

    settle                         delivered, skipped, dead: with what the worker read in the alert and measured
    reap, bury, bury_unreadable    dead: the reason is worker_lost, unreadable, or the one that the operator gave
    discard, retain, move          discarded, expired, moved: what became of a dead letter

    A retry is not an end. Neither is a replay: the delivery ends again and then gets another entry, so `dead` may be
    followed by `delivered`. A fallback's delivery ends in the history of the fallback. `import` adds what has its entry
    in another ledger.

    Nothing depends on the history: if its key has the wrong type, entries are lost and the deliveries go on. So
    `check_types` does not check it, and it never makes an integration LedgerDamaged.

Numbers of alerts
    In `totals`, read = not_matched + excepted + silenced + enqueued + already_queued + folded, at any moment, and
    folded = digested + below_min + the number of alerts in open groups. A commit adds to
    all of them in the same step in which it moves the cursor. The numbers are those between its two cursors, so they
    only ever add up: over restarts, over several nodes, each with its cursor, and over replays of the log, which count
    only what they enqueue. `already_queued` is what a replay of the log had enqueued before. `committed` also counts
    deliveries that are no alerts that were read: fallbacks, events for the manager, closing messages, digests, those of
    `courier test`, and dead letters moved from another integration.

Numbers of deliveries
    committed + imported = delivered + skipped + discarded + expired + moved + waiting + released + dead, at any moment.
    The last three are the numbers of deliveries in these states, the others are in `totals`. Each script that adds a
    delivery to an integration or deletes one counts it in the same step:

    committed  commit, close; release and bury for digests; settle and reap for a fallback and for events; move, for the
               integration that gets it
    imported   import
    delivered, skipped  settle; withdraw counts as skipped
    discarded  discard
    expired    retain
    moved      move, for the integration that had it

    All other scripts only move deliveries between waiting, released and dead. `dead` in `totals` counts deaths, so it
    is not in this equation: a dead letter can be replayed and die again. A member of waiting, released or dead without
    a record is lost: it is removed without being counted, so the numbers show it. `balance.py` computes both equations
    from a status. They remain wrong after a counter is deleted or overwritten by another program.

What blocks an integration
    operator  pause, resume     nothing is released until the pause is resumed, or ends by itself if it has an end
    target    Retry-After       nothing is released to any integration with its credential until the pause ends; limited
    breaker   unhealthy target, nothing is released until the breaker's pause ends; then one probe, whose outcome
              or only refusals  decides: the newest delivery that has not failed, otherwise the newest
    limits    rate_limits       releases only as many as every limit allows; the release spends the tokens
    cap       max_in_flight     releases only as many as the cap leaves room for

A delivery that waits for any of these is a member of `waiting` and nothing else: it occupies no message and no worker,
and uses no attempt. A release that is blocked reads a few hash fields, however long the queue is.

A worker begins the deliveries of several integrations in one round trip, and settles them in one. Each script still
runs for one integration.

If the block starts after the release, `begin` returns the delivery to the head of the queue and refunds its tokens: no
attempt was made. If it starts after the begin, the worker returns the deliveries that it has not started to send with
its next `settle`, and finishes those that it is sending.

A few deliveries that a target cannot accept do not hold up the others: only the first failure of each counts for the
breaker, none is a probe while a delivery that has not failed is due, and for a while they let the others go first. A
changed credential closes the breaker.

`settle` judges the target by each outcome. Only `settle` opens, extends and closes the breaker, and only `release`
moves it from open to half-open, both by the ledger's clock. So no block depends on a process that stays alive. If the
clock is set back, no limit is exceeded and no block lasts longer than its configured maximum; `release` moves the due
times back as well, of 1,000 waiting deliveries a call.

A held delivery is no different, only its due time is in the future: the end of the window that was in force at the
commit. All that were held in one period share it, so `held` in `control` lists these times, and a delivery is held if
its due time is one of them and not over. It counts in the backlog, but not as late: `held_until_ms` in its header
says from when on its age counts. Changed windows change nothing for it; `let_go` does.

Groups and digests
    `commit` folds alerts into groups (`fold.lua`) in the step that moves the cursor, so each is folded once. Of the
    first alerts of a window it delivers up to `first` one by one, whichever producer sends them. When the window ends,
    `release` makes the group one delivery, its digest, with the id `digest:GROUP:BEGIN` (`digests.lua`). If its window
    had more than `first` alerts, the group stays open for the next window, which delivers none one by one. A full
    backlog refuses folds, too, so the digests of a target that is down do not exceed it by more than the open groups.
    The state of a group is at most 64 KiB (`digest_types.py`), and there are at most 10,001 groups. A group whose state
    is malformed is deleted; the numbers then show its alerts as missing.

Recovery after a crash
    between commit and release     still waiting: the next release takes it
    between release and publish    released, never begun: reaped when the lease expires, unless it is in the queue
    queue messages lost            the same
    a message delivered twice      the second `begin` skips its ids
    a probe is lost                its lease expires like any other, and the next release sends another probe
    a worker dies while sending    the lease expires: reaped, one lost attempt; perhaps sent twice
    between response and settle    the same: this is the only duplicate that cannot be avoided
    Redis loses its last second    the cursor is as old as the deliveries: the producer reads on from there

Deliveries never expire: only settle, discard and retain delete one, and they count it. The shared keys of a
credential expire two days after their last use, when no limit or pause needs them any more.
"""

from common.ledger.balance import Unaccounted, unaccounted
from common.ledger.commit_types import (
    NO_HOLDS,
    Closed,
    Commit,
    CommitResult,
    Full,
    SilenceCount,
    Stale,
    Stored,
)
from common.ledger.digest_types import Folds, Group, Part, Top
from common.ledger.enums import BreakerState, SettleOutcome
from common.ledger.folded import Folded, OpenGroup
from common.ledger.history import Facts, HistoryEntry, HistoryOutcome, UnreadableEntry
from common.ledger.ledger import Ledger
from common.ledger.limits import UNLIMITED, Breaker, Limits
from common.ledger.locate import Located, Place
from common.ledger.notifications import NO_NOTIFICATIONS, Notifications
from common.ledger.record import Attempt, Delivery, FallbackOf, Header, LastResponse
from common.ledger.types import (
    Begin,
    DeadLetter,
    Event,
    Position,
    Reap,
    Reaped,
    Release,
    Settle,
    Settled,
    Settlement,
    Status,
)

__all__ = [
    "NO_HOLDS",
    "NO_NOTIFICATIONS",
    "UNLIMITED",
    "Attempt",
    "Begin",
    "Breaker",
    "BreakerState",
    "Closed",
    "Commit",
    "CommitResult",
    "DeadLetter",
    "Delivery",
    "Event",
    "Facts",
    "FallbackOf",
    "Folded",
    "Folds",
    "Full",
    "Group",
    "Header",
    "HistoryEntry",
    "HistoryOutcome",
    "LastResponse",
    "Ledger",
    "Limits",
    "Located",
    "Notifications",
    "OpenGroup",
    "Part",
    "Place",
    "Position",
    "Reap",
    "Reaped",
    "Release",
    "Settle",
    "SettleOutcome",
    "Settled",
    "Settlement",
    "SilenceCount",
    "Stale",
    "Status",
    "Stored",
    "Top",
    "Unaccounted",
    "UnreadableEntry",
    "unaccounted",
]
