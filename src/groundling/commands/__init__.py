"""What the commands do, apart from reading their arguments. Each file is loaded by the command that needs it."""
