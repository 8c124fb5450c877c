"""How far each integration has read: subscriptions, the assignment of cursors, their backup and signatures."""
