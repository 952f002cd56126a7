"""The command line: a module for each verb, and what they share.

`main` finds the verb and turns whatever goes wrong into a message and an exit status. `answer` is
what each verb gets and gives; `options` and `dates` are what several verbs have in common.

It may touch anything, but mostly prints: the work is done by the packages below. It reads
the clock, once for each command. Nothing imports this package.
"""
