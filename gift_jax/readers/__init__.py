"""The files of data sets and distilled sets, wherever they lie: directories, archives, Parquet shards, arrays."""
