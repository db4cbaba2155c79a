//! the feature maths and the jobs that run it on rayon

pub mod source; // CSV, Parquet, JSON lines -> Arrow batches
