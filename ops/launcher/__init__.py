"""The command of an installed wheel. There this folder is the package `courier`, which holds the four others."""
