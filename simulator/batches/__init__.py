"""Many runs of the model on many processes or machines, kept as Parquet: equal to the last bit however they are cut up."""
