//! What the beginning of a text file, or the footer of a Parquet file, tells about it.
//! Read once per file by `files`.

use std::path::Path;

use super::csv::{Fields, Header, HeaderFault};
use super::format::{Compression, open_unpacked};
use super::parquet::Footer;
use super::{Error, Format, Wanted, jsonl};

/// Names less alike than this are not worth proposing.
const ALIKE: f64 = 0.7;

/// What the beginning (or the footer) of one file tells.
#[derive(Clone, Debug)]
pub(super) enum Head {
    Parquet(Footer),
    Csv {
        header: Header,
        compression: Compression,
    },
    Jsonl {
        head: jsonl::Head,
        compression: Compression,
    },
}

impl Head {
    /// Reads it.
    pub(super) fn read(path: &Path, format: Format) -> Result<Head, Error> {
        let failed = |error| Error::Io {
            path: path.to_owned(),
            error,
        };
        if format == Format::Parquet {
            return Footer::read(path).map(Head::Parquet);
        }
        let compression = Compression::of_file(path).map_err(failed)?;
        let mut input = open_unpacked(path, compression).map_err(failed)?;
        if format == Format::Jsonl {
            let head = jsonl::Head::read(input.as_mut()).map_err(failed)?;
            return Ok(Head::Jsonl { head, compression });
        }
        let header = Header::read(input.as_mut()).map_err(failed)?;
        let header = header.ok_or_else(|| Error::NoHeader {
            path: path.to_owned(),
        })?;
        Ok(Head::Csv {
            header,
            compression,
        })
    }

    /// Names of the columns.
    pub(super) fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Head::Parquet(footer) => Box::new(footer.names()),
            Head::Csv { header, .. } => Box::new(header.names.iter().map(String::as_str)),
            Head::Jsonl { head, .. } => Box::new(head.names.iter().map(String::as_str)),
        }
    }

    /// Checks that every wanted column is there. `known` are the names of all files.
    pub(super) fn check_names(
        &self,
        path: &Path,
        columns: &[Wanted],
        known: &[String],
    ) -> Result<(), Error> {
        let missing = match self {
            // A key that one file lacks is null there; one that no file shows is a mistake.
            Head::Jsonl { head, .. } if head.empty => None,
            Head::Jsonl { .. } => columns.iter().find(|column| !known.contains(&column.name)),
            Head::Parquet(_) | Head::Csv { .. } => columns
                .iter()
                .find(|column| !self.names().any(|name| name == column.name)),
        };
        let Some(column) = missing else { return Ok(()) };
        let present = self.names().map(str::to_owned).collect();
        Err(missing_column(path, &column.name, present))
    }
}

/// Where the wanted columns stand in the rows of a CSV file.
pub(super) fn fields(path: &Path, header: &Header, columns: &[Wanted]) -> Result<Fields, Error> {
    Fields::of(header, columns).map_err(|fault| match fault {
        HeaderFault::Missing(index) => {
            missing_column(path, &columns[index].name, header.names.clone())
        }
        HeaderFault::Repeated(index) => Error::RepeatedColumn {
            path: path.to_owned(),
            column: columns[index].name.clone(),
        },
    })
}

/// Every name once, in the order of the first file, then of the others.
pub(super) fn union_of_names<'a>(heads: impl IntoIterator<Item = &'a Head>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in heads.into_iter().flat_map(Head::names) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn missing_column(path: &Path, column: &str, present: Vec<String>) -> Error {
    let nearest = nearest(column, &present);
    Error::MissingColumn {
        path: path.to_owned(),
        column: column.to_owned(),
        nearest,
        present,
    }
}

fn nearest(name: &str, present: &[String]) -> Option<String> {
    let alike = |other: &&String| strsim::jaro_winkler(name, other);
    let best = present
        .iter()
        .max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    (alike(&best) >= ALIKE).then(|| best.clone())
}
