"""How layers and functions of torch become operations of a program."""
