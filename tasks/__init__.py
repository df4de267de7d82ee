"""SeqIO tasks and mixtures; import the module of a benchmark to register it."""
