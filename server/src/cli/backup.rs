//! `granary backup` and `granary restore`: a data directory in one file, and back.

use std::path::{Path, PathBuf};

use anyhow::bail;
use bytesize::ByteSize;
use granary_registry::EventTime;
use granary_storage::{Tombstones, restore as restore_into};

use super::context::Common;
use crate::control::{self, Request};
use crate::service::{BackupReport, ServiceOptions};

/// Write everything under the data directory into one file, also while a server runs
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary backup /backups/shop-2026-01-05.tar.zst
  tar -tf /backups/shop-2026-01-05.tar.zst        what is in it")]
pub(super) struct BackupArgs {
    /// The file, which must not be there
    pub file: PathBuf,
}

/// Put a backup into an empty data directory: whole, or not at all
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  granary restore /backups/shop-2026-01-05.tar.zst --data-dir /var/lib/granary
  granary restore shop.tar.zst --erased old/erased.json     nor who was erased since")]
pub(super) struct RestoreArgs {
    /// The backup
    pub file: PathBuf,
    /// Also leave out who was erased after the backup was made: `erased.json` of the data
    /// directory that it is of
    #[arg(long, value_name = "FILE")]
    pub erased: Option<PathBuf>,
}

/// Runs `backup`, through the server if one is running.
pub(super) fn backup(common: &Common, args: &BackupArgs) -> anyhow::Result<()> {
    let context = common.open()?;
    let file = std::path::absolute(&args.file)?;
    let report: BackupReport = match control::connect(&context.data)? {
        Some(server) => server.ask(&Request::Backup { file: file.clone() }, &|_| {})?,
        None => context.service(ServiceOptions::default())?.backup(&file)?,
    };
    if common.json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    let packed = ByteSize(std::fs::metadata(&file)?.len());
    println!(
        "{}: {} files of {}, packed into {packed}; the log is in it up to {}",
        file.display(),
        report.files,
        ByteSize(report.bytes),
        report.log_offset
    );
    Ok(())
}

/// Runs `restore`.
pub(super) fn restore(common: &Common, args: &RestoreArgs) -> anyhow::Result<()> {
    let into: &Path = &common.data_dir;
    let erased = args.erased.as_deref().map(erased_since).transpose()?;
    let manifest = restore_into(&args.file, into, erased.as_ref())?;
    let created = EventTime(manifest.created);
    if common.json {
        println!("{}", serde_json::to_string(&manifest)?);
        return Ok(());
    }
    println!(
        "{}: {} files of {}, as of {created}; start it with `granary serve`",
        into.display(),
        manifest.files.len(),
        ByteSize(manifest.bytes())
    );
    Ok(())
}

/// The file must be there: without it whoever was erased would be back.
fn erased_since(path: &Path) -> anyhow::Result<Tombstones> {
    let erased = Tombstones::read_file(path)?;
    if erased.is_empty() {
        bail!(
            "{} names nobody who was erased; name the `erased.json` of the data directory that the backup is of",
            path.display()
        );
    }
    Ok(erased)
}
