"""From the ledger to the services: begins a delivery, sends it, settles its outcome."""
