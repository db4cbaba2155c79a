//! What decoding takes: the columns that a source declares, read on some threads and forgotten.
//! No engine that reads the same files is faster than its decoder.
//!
//! ```sh
//! cargo run --release -p granary-bench --bin decode -- --registry r.yaml --data-dir d --source s
//! ```

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use granary_pipelines::source::{BadRows, Error, SourceFiles, Wanted};
use granary_registry::Registry;
use rayon::prelude::*;

#[derive(Clone, Debug, Parser)]
#[command(about = "Decodes the columns of a source and forgets them")]
struct Args {
    /// The feature definitions
    #[arg(long, default_value = "registry.yaml")]
    registry: PathBuf,
    /// Where the raw files lie
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    /// Which source
    #[arg(long)]
    source: String,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// How often, each time told
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let registry = Registry::parse(&std::fs::read_to_string(&args.registry)?)?;
    let source = registry.source(&args.source);
    let source = source.ok_or_else(|| format!("no source `{}` in the registry", args.source))?;
    let columns = source.columns.iter();
    let columns: Vec<Wanted> = columns
        .map(|column| Wanted::optional(&column.name, column.dtype))
        .collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads);
    let pool = pool.build()?;
    for _ in 0..args.rounds {
        let began = Instant::now();
        let files = SourceFiles::find(source, &args.data_dir)?;
        let rows = pool.install(|| decode(&files, &columns))?;
        let seconds = began.elapsed().as_secs_f64();
        println!("{rows} rows in {seconds:.3} s");
    }
    Ok(())
}

fn decode(files: &SourceFiles, columns: &[Wanted]) -> Result<u64, Error> {
    let rows = AtomicU64::new(0);
    files.chunks()?.par_iter().try_for_each(|chunk| {
        files.decode(chunk, columns, &BadRows::strict(), &mut |batch| {
            rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            Ok::<(), Error>(())
        })
    })?;
    Ok(rows.into_inner())
}
