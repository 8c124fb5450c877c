"""The operations of the ledger as methods. The docstring of this package explains the scripts that they run."""

from __future__ import annotations

from common.ledger.commit_operations import CommitOperations
from common.ledger.delivery_operations import DeliveryOperations
from common.ledger.history_operations import HistoryOperations
from common.ledger.operator_operations import OperatorOperations


class Ledger(CommitOperations, DeliveryOperations, OperatorOperations, HistoryOperations):
    """All operations on deliveries.

    Every method raises LedgerUnavailable or LedgerMisconfigured, and no error of the Redis client. Methods for one
    integration also raise LedgerDamaged if another program wrote to its keys. Methods for several integrations leave a
    damaged one out of the result. Both log the damage once.

    `clock` returns seconds since the epoch. The default is the clock of Redis, which all machines share.
    """
