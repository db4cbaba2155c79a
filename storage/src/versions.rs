//! Numbered directories of which one is current: built to the side, renamed when whole, then
//! made current by replacing one small file. Called by `offline` and `artifacts`.
//!
//! A crash at any point leaves the current version readable: before the rename there is only
//! a hidden directory, which the next `stage` removes; between the rename and the switch the
//! new version is whole but not current.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::names::check_name;
use crate::publish::{create_directory, entries, sync_contents, sync_directory, write_atomic};
use crate::{Error, Result};

const CURRENT: &str = "CURRENT"; // holds the name of the current version
const BUILDING: &str = ".building"; // the version under construction; one, by the builder's lock

/// The versions of one thing: `v000001`, `v000002` … below one directory.
#[derive(Clone, Debug)]
pub(crate) struct Versions {
    kind: &'static str,
    root: PathBuf,
}

/// A version under construction; removed when dropped unpublished.
#[derive(Debug)]
pub(crate) struct Staged {
    versions: Versions,
    name: String,
    published: bool,
}

impl Versions {
    /// The versions below `parent/name`.
    pub(crate) fn new(kind: &'static str, parent: &Path, name: &str) -> Result<Versions> {
        check_name(kind, name)?;
        Ok(Versions {
            kind,
            root: parent.join(name),
        })
    }

    /// The names of all whole versions, oldest first.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let mut numbers: Vec<u64> = entries(&self.root)?
            .iter()
            .filter_map(|path| number(path))
            .collect();
        numbers.sort_unstable();
        Ok(numbers.into_iter().map(name_of).collect())
    }

    /// The version readers get; none before the first publication.
    pub(crate) fn current(&self) -> Result<Option<String>> {
        let path = self.root.join(CURRENT);
        match fs::read_to_string(&path) {
            Ok(name) => Ok(Some(name.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Where a whole version lies.
    pub(crate) fn path(&self, name: &str) -> Result<PathBuf> {
        check_name(self.kind, name)?;
        let path = self.root.join(name);
        if number(&path).is_none() || !path.is_dir() {
            return Err(Error::NotFound {
                kind: self.kind,
                name: name.to_owned(),
                path: self.root.clone(),
            });
        }
        Ok(path)
    }

    /// Begins the next version, removing what a killed builder left.
    pub(crate) fn stage(&self) -> Result<Staged> {
        let building = self.root.join(BUILDING);
        if building.exists() {
            fs::remove_dir_all(&building).map_err(Error::io("remove", &building))?;
        }
        create_directory(&building)?;
        let newest = entries(&self.root)?
            .iter()
            .filter_map(|path| number(path))
            .max();
        let name = name_of(newest.unwrap_or(0) + 1);
        Ok(Staged {
            versions: self.clone(),
            name,
            published: false,
        })
    }

    /// Makes an existing version the current one.
    pub(crate) fn promote(&self, name: &str) -> Result<()> {
        self.path(name)?;
        write_atomic(&self.root.join(CURRENT), format!("{name}\n").as_bytes())
    }

    /// Removes all but the newest `keep` versions, at least one, and never the current one.
    /// Returns the names of those removed.
    pub(crate) fn keep_newest(&self, keep: usize) -> Result<Vec<String>> {
        let mut names = self.names()?;
        let current = self.current()?;
        // The newest always stays, or its number would be given out twice.
        names.truncate(names.len().saturating_sub(keep.max(1)));
        names.retain(|name| Some(name) != current.as_ref());
        for name in &names {
            let path = self.root.join(name);
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(names)
    }
}

impl Staged {
    /// The name it will have.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where its files go for now.
    pub(crate) fn path(&self) -> PathBuf {
        self.versions.root.join(BUILDING)
    }

    /// Syncs everything, renames it into place and makes it current. Returns its path.
    pub(crate) fn publish(mut self) -> Result<PathBuf> {
        let root = self.versions.root.clone();
        let (building, target) = (self.path(), root.join(&self.name));
        sync_contents(&building)?;
        fs::rename(&building, &target).map_err(Error::io("rename", &building))?;
        self.published = true;
        sync_directory(&root)?;
        self.versions.promote(&self.name)?;
        Ok(target)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            // The next `stage` removes what cannot be removed now.
            let _ = fs::remove_dir_all(self.path());
        }
    }
}

/// The names of the directories in `parent` that hold versions.
pub(crate) fn versioned_names(parent: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for path in entries(parent)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && check_name("directory", &name).is_ok() {
            names.push(name.into_owned());
        }
    }
    Ok(names)
}

fn name_of(number: u64) -> String {
    format!("v{number:06}")
}

fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_prefix('v')?.parse().ok()?;
    (name_of(number) == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(versions: &Versions, content: &str) -> String {
        let staged = versions.stage().unwrap();
        fs::write(staged.path().join("file"), content).unwrap();
        let name = staged.name().to_owned();
        staged.publish().unwrap();
        name
    }

    fn read_current(versions: &Versions) -> String {
        let name = versions.current().unwrap().unwrap();
        fs::read_to_string(versions.path(&name).unwrap().join("file")).unwrap()
    }

    #[test]
    fn versions_count_up_and_the_last_published_is_current() {
        let home = tempfile::tempdir().unwrap();
        let versions = Versions::new("group", home.path(), "g").unwrap();
        assert_eq!(versions.current().unwrap(), None);
        assert!(versions.names().unwrap().is_empty());
        for expected in ["v000001", "v000002", "v000003"] {
            assert_eq!(publish(&versions, expected), expected);
            assert_eq!(read_current(&versions), expected);
        }
        versions.promote("v000001").unwrap();
        assert_eq!(read_current(&versions), "v000001");
        assert!(versions.promote("v000009").is_err());
        assert_eq!(versioned_names(home.path()).unwrap(), ["g"]);
    }

    #[test]
    fn a_crash_at_any_step_of_a_publication_leaves_the_old_version_current() {
        let home = tempfile::tempdir().unwrap();
        let versions = Versions::new("group", home.path(), "g").unwrap();
        publish(&versions, "old");

        // Killed while building.
        let staged = versions.stage().unwrap();
        fs::write(staged.path().join("file"), "half").unwrap();
        std::mem::forget(staged);
        assert_eq!(read_current(&versions), "old");
        assert_eq!(versions.names().unwrap(), ["v000001"]);
        let staged = versions.stage().unwrap();
        assert!(
            entries(&staged.path()).unwrap().is_empty(),
            "leftovers are gone"
        );

        // Killed between the rename and the switch: whole, not current, its number not reused.
        fs::rename(staged.path(), home.path().join("g").join(staged.name())).unwrap();
        std::mem::forget(staged);
        assert_eq!(read_current(&versions), "old");
        assert_eq!(publish(&versions, "new"), "v000003");
        assert_eq!(read_current(&versions), "new");
    }

    #[test]
    fn keeping_the_newest_never_removes_the_current_one() {
        let home = tempfile::tempdir().unwrap();
        let versions = Versions::new("group", home.path(), "g").unwrap();
        for _ in 0..5 {
            publish(&versions, "x");
        }
        versions.promote("v000002").unwrap();
        assert_eq!(versions.keep_newest(2).unwrap(), ["v000001", "v000003"]);
        assert_eq!(versions.keep_newest(0).unwrap(), ["v000004"]);
        assert_eq!(versions.names().unwrap(), ["v000002", "v000005"]);
        assert_eq!(publish(&versions, "x"), "v000006");
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        let home = tempfile::tempdir().unwrap();
        assert!(Versions::new("group", home.path(), "../g").is_err());
        let versions = Versions::new("group", home.path(), "g").unwrap();
        publish(&versions, "x");
        for name in [
            "..",
            ".building",
            "CURRENT",
            "v1",
            "v000001/../v000001",
            "v000002",
        ] {
            assert!(versions.path(name).is_err(), "{name}");
        }
    }
}
