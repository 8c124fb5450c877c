"""The logic of the operator commands, without their options and output."""
