//! Laws and cases of the whole module, over files in a temporary directory.

mod faults; // what the errors say, and what skipping does
mod formats; // the same table in every format is the same batches
mod fuzz; // no bytes make it panic, no layout changes what is read
mod ipc; // what a client sends
mod leaving_out; // files without some of their rows
mod original; // the original system's Parquet files
mod paths; // from the registry's paths to files

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{cast, concat};
use arrow::datatypes::DataType;
use granary_registry::{Source, Span};

use super::{BadRows, Error, Layout, SourceFiles, Wanted};

/// A source that reads the given paths.
fn source(paths: &[&str]) -> Source {
    Source {
        name: "events".to_owned(),
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        entity: "user".to_owned(),
        event_time: None,
        created: None,
        id: None,
        allowed_lateness: Span(0),
        columns: Vec::new(),
        derived: Vec::new(),
    }
}

/// One file as a source, read with a layout.
fn file(directory: &Path, name: &str, bytes: &[u8], layout: Layout) -> Result<SourceFiles, Error> {
    fs::write(directory.join(name), bytes).unwrap();
    Ok(SourceFiles::find(&source(&[name]), directory)?.with_layout(layout))
}

/// The rows of all batches as one array per column, dictionaries unpacked.
fn whole_columns(batches: &[RecordBatch]) -> Vec<ArrayRef> {
    let Some(first) = batches.first() else {
        return Vec::new();
    };
    (0..first.num_columns())
        .map(|column| {
            let parts: Vec<ArrayRef> = batches
                .iter()
                .map(|batch| unpacked(batch.column(column)))
                .collect();
            concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap()
        })
        .collect()
}

fn unpacked(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Dictionary(_, value) => cast(array, value).unwrap(),
        _ => array.clone(),
    }
}

/// Reads everything under the skip rule; also the side file, line by line.
fn read_skipping(
    files: &SourceFiles,
    columns: &[Wanted],
) -> (Result<Vec<RecordBatch>, Error>, Vec<serde_json::Value>) {
    let side = SideFile::default();
    let bad = BadRows::skip(Box::new(side.clone()));
    let batches = files.read(columns, &bad);
    let lines = side.lines();
    assert_eq!(bad.skipped("events"), lines.len() as u64);
    (batches, lines)
}

/// A side file in memory.
#[derive(Clone, Default)]
struct SideFile(Arc<Mutex<Vec<u8>>>);

impl SideFile {
    fn lines(&self) -> Vec<serde_json::Value> {
        let bytes = self.0.lock().unwrap();
        bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

impl Write for SideFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
