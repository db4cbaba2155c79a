//! From the candidate paths of a source to files that exist and share one format.
//! Called by `SourceFiles::find`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use granary_registry::Source;

use super::format::{ENDINGS, of_name};
use super::{Error, Format};

/// The files of the first candidate that exists, sorted by path, and their common format.
pub(super) fn find(source: &Source, data_dir: &Path) -> Result<(Vec<PathBuf>, Format), Error> {
    let mut tried = Vec::new();
    for candidate in &source.paths {
        let files = files_at(source, data_dir, candidate, &mut tried)?;
        if !files.is_empty() {
            let format = common_format(source, &files)?;
            return Ok((files, format));
        }
    }
    Err(Error::NotFound {
        source_name: source.name.clone(),
        tried,
    })
}

/// What one candidate stands for: nothing, a file, the files of a directory or of a glob.
fn files_at(
    source: &Source,
    data_dir: &Path,
    candidate: &str,
    tried: &mut Vec<String>,
) -> Result<Vec<PathBuf>, Error> {
    let path = data_dir.join(candidate);
    if path.is_dir() {
        let files = files_of_directory(&path)?;
        if files.is_empty() {
            tried.push(format!(
                "{} (a directory without data files)",
                path.display()
            ));
        } else {
            return Ok(files);
        }
    } else if path.is_file() {
        return Ok(vec![path]);
    } else if candidate.contains(['*', '?', '[']) {
        tried.push(path.display().to_string());
        return files_of_glob(source, data_dir, candidate);
    } else {
        tried.push(path.display().to_string());
    }
    if of_name(&path).is_some() {
        return Ok(Vec::new());
    }
    Ok(file_with_ending(&path, tried).into_iter().collect())
}

/// `raw/user_table` -> `raw/user_table.parquet`, or the next ending that exists.
fn file_with_ending(path: &Path, tried: &mut Vec<String>) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    ENDINGS.iter().find_map(|(ending, _)| {
        let file = path.with_file_name(format!("{name}.{ending}"));
        if file.is_file() {
            return Some(file);
        }
        tried.push(format!(".{ending}"));
        None
    })
}

fn files_of_directory(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::Io {
        path: directory.to_owned(),
        error,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        files.push(entry.map_err(failed)?.path());
    }
    files.retain(|path| is_data_file(path));
    files.sort();
    Ok(files)
}

fn files_of_glob(source: &Source, data_dir: &Path, glob: &str) -> Result<Vec<PathBuf>, Error> {
    // Only the registry's part is a pattern; the data directory may hold a `[` of its own.
    let pattern = if Path::new(glob).is_absolute() {
        glob.to_owned()
    } else {
        let directory = glob::Pattern::escape(&data_dir.to_string_lossy());
        Path::new(&directory)
            .join(glob)
            .to_string_lossy()
            .into_owned()
    };
    let found = glob::glob(&pattern).map_err(|error| Error::Pattern {
        source_name: source.name.clone(),
        pattern: glob.to_owned(),
        error,
    })?;
    let mut files = Vec::new();
    for entry in found {
        files.push(entry.map_err(|error| Error::Io {
            path: error.path().to_owned(),
            error: error.into(),
        })?);
    }
    files.retain(|path| is_data_file(path));
    files.sort();
    Ok(files)
}

/// Whether a neighbour in a directory counts: `_SUCCESS` and `.part.csv` do not.
fn is_data_file(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with(['.', '_']));
    !hidden && of_name(path).is_some() && path.is_file()
}

fn common_format(source: &Source, files: &[PathBuf]) -> Result<Format, Error> {
    let first = &files[0];
    let first_format = format_of(first)?;
    for other in &files[1..] {
        let other_format = format_of(other)?;
        if other_format != first_format {
            return Err(Error::MixedFormats {
                source_name: source.name.clone(),
                first: first.clone(),
                first_format,
                other: other.clone(),
                other_format,
            });
        }
    }
    Ok(first_format)
}

/// By name; a file without a known ending may still begin as a Parquet file does.
fn format_of(path: &Path) -> Result<Format, Error> {
    if let Some(format) = of_name(path) {
        return Ok(format);
    }
    let failed = |error| Error::Io {
        path: path.to_owned(),
        error,
    };
    let mut magic = Vec::with_capacity(4);
    fs::File::open(path)
        .map_err(failed)?
        .take(4)
        .read_to_end(&mut magic)
        .map_err(failed)?;
    if magic == b"PAR1" {
        return Ok(Format::Parquet);
    }
    Err(Error::UnknownFormat {
        path: path.to_owned(),
    })
}
