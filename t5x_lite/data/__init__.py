"""SeqIO task or mixture to packed, converted host batches."""
