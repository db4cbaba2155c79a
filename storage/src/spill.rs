//! Rows that do not fit into memory, on disk for as long as a job works on them. Called by
//! batch builds.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

use crate::{DataDir, Error, Result};

/// A file without a name: gone with its job, however that ends.
#[derive(Debug)]
pub struct Spill {
    directory: PathBuf,
    file: File,
    end: AtomicU64,
}

/// Where rows lie in it.
#[derive(Clone, Copy, Debug)]
pub struct Spilled {
    at: u64,
    bytes: usize,
}

impl Spill {
    /// An empty one, on the disk of the data directory.
    pub fn create(data: &DataDir) -> Result<Spill> {
        let directory = data.root().to_owned();
        let file = tempfile::tempfile_in(&directory)
            .map_err(Error::io("create a temporary file in", &directory))?;
        Ok(Spill {
            directory,
            file,
            end: AtomicU64::new(0),
        })
    }

    /// Writes rows; threads may do so at once.
    pub fn append(&self, rows: &RecordBatch) -> Result<Spilled> {
        let bytes = encode(rows).map_err(self.failed("write"))?;
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file
            .write_all_at(&bytes, at)
            .map_err(Error::io("write a temporary file in", &self.directory))?;
        Ok(Spilled {
            at,
            bytes: bytes.len(),
        })
    }

    /// Rows that were written, some of their columns or all.
    pub fn read(&self, rows: Spilled, columns: Option<Vec<usize>>) -> Result<RecordBatch> {
        let mut bytes = vec![0; rows.bytes];
        self.file
            .read_exact_at(&mut bytes, rows.at)
            .map_err(Error::io("read a temporary file in", &self.directory))?;
        decode(&bytes, columns).map_err(self.failed("read"))
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    fn failed(&self, operation: &'static str) -> impl FnOnce(ArrowError) -> Error + use<> {
        let path = temporary(&self.directory);
        move |error| Error::parquet(operation, &path)(error.into())
    }
}

/// What messages call it.
fn temporary(directory: &Path) -> PathBuf {
    directory.join("(temporary file)")
}

fn encode(rows: &RecordBatch) -> std::result::Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    writer.into_inner()
}

fn decode(
    bytes: &[u8],
    columns: Option<Vec<usize>>,
) -> std::result::Result<RecordBatch, ArrowError> {
    let mut reader = StreamReader::try_new(bytes, columns)?;
    let missing = || ArrowError::IpcError("a block without rows".to_owned());
    reader.next().ok_or_else(missing)?
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn rows_come_back_and_no_file_is_seen() {
        let home = tempfile::tempdir().unwrap();
        let spill = Spill::create(&DataDir::open(home.path()).unwrap()).unwrap();
        let schema = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("text", DataType::Utf8, false),
        ]));
        let batch = |from: i64| {
            let numbers: Vec<i64> = (from..from + 100).collect();
            let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
            RecordBatch::try_new(
                Arc::clone(&schema),
                vec![
                    Arc::new(Int64Array::from(numbers)),
                    Arc::new(StringArray::from(texts)),
                ],
            )
            .unwrap()
        };
        let batches: Vec<RecordBatch> = (0..20).map(|n| batch(n * 1000)).collect();
        let written: Vec<Spilled> = std::thread::scope(|scope| {
            let threads: Vec<_> = batches
                .iter()
                .map(|batch| scope.spawn(|| spill.append(batch).unwrap()))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for (wanted, at) in batches.iter().zip(written) {
            assert_eq!(&spill.read(at, None).unwrap(), wanted);
            let texts = spill.read(at, Some(vec![1])).unwrap();
            assert_eq!(texts, wanted.project(&[1]).unwrap());
        }
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
