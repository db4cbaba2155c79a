//! The architecture as a test: every crate, folder and document is held to the arrows and
//! absences that ARCHITECTURE.md states. Reads manifests and sources, builds nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// A crate may use any crate to its left, never one to its right. Nothing uses the last two.
const ORDER: [&str; 7] = [
    "registry",
    "storage",
    "pipelines",
    "models",
    "server",
    "bench",
    "tests",
];

/// Who alone may name a dependency, tests and benches of the edges included.
const RESERVED: [(&str, &[&str]); 4] = [
    ("tokio", &["server", "bench", "tests"]),
    ("actix-web", &["server", "bench", "tests"]),
    ("redb", &["storage"]),
    ("anyhow", &["server"]),
];

/// What the sources under some paths never say, and why.
const ABSENT: [Absence; 5] = [
    Absence {
        under: &["registry/src", "storage/src", "pipelines/src", "models/src"],
        words: &[
            "SystemTime::now",
            "Instant::now",
            "Utc::now",
            "Timestamp::now",
            "Zoned::now",
        ],
        why: "nothing left of `server` reads a clock: instants arrive as arguments",
    },
    Absence {
        under: &[
            "registry/src",
            "models/src",
            "pipelines/src/expression",
            "pipelines/src/fold",
            "pipelines/src/quality",
            "pipelines/src/text",
            "pipelines/src/point_in_time.rs",
        ],
        words: &["std::fs", "fs::", "File::", "std::net", "std::env"],
        why: "maths takes and gives values and columns: no files, no sockets, no environment",
    },
    Absence {
        under: &["server/src/service"],
        words: &[
            "actix_web",
            "tokio::",
            "utoipa",
            "crate::http",
            "crate::resp",
            "crate::cli",
        ],
        why: "use cases know nothing of the doors in front of them",
    },
    Absence {
        under: &["server/src/http", "server/src/resp"],
        words: &["granary_storage", "granary_pipelines", "granary_models"],
        why: "the doors translate; what there is to decide is decided in `service`",
    },
    Absence {
        under: &["server/src/resp"],
        words: &["actix_web", "crate::http"],
        why: "the two doors do not know each other",
    },
];

struct Absence {
    under: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

#[test]
fn crates_use_only_crates_to_their_left() {
    for (position, name) in ORDER.iter().enumerate() {
        let left = &ORDER[..position.min(5)];
        for dependency in dependencies(name) {
            let Some(used) = dependency.strip_prefix("granary-") else {
                continue;
            };
            assert!(
                left.contains(&used),
                "{name}/Cargo.toml uses {used}; it may use {left:?}"
            );
        }
    }
}

#[test]
fn every_crate_of_the_workspace_has_its_place_in_the_order() {
    let manifest = manifest(&root());
    let members = manifest["workspace"]["members"]
        .as_array()
        .expect("members is a list");
    let members: BTreeSet<&str> = members.iter().filter_map(Value::as_str).collect();
    assert_eq!(members, BTreeSet::from(ORDER));
}

#[test]
fn some_dependencies_belong_to_one_crate_alone() {
    for (dependency, allowed) in RESERVED {
        let users: Vec<&str> = ORDER
            .into_iter()
            .filter(|name| dependencies(name).contains(dependency))
            .collect();
        assert!(
            !users.is_empty(),
            "nobody uses {dependency} any more; take it off the list"
        );
        for user in users {
            assert!(
                allowed.contains(&user),
                "{user} names {dependency}; only {allowed:?} may"
            );
        }
    }
}

#[test]
fn what_must_be_absent_is_absent() {
    let mut found = Vec::new();
    for absence in &ABSENT {
        for path in absence.under {
            let files = sources(&root().join(path));
            // An empty list would let a renamed folder pass unread.
            assert!(!files.is_empty(), "{path} holds no sources any more");
            for file in files {
                let text = read(&file);
                for word in absence.words.iter().filter(|word| says(&text, word)) {
                    found.push(format!("{}: `{word}`, but {}", shown(&file), absence.why));
                }
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn paths_named_in_the_architecture_exist() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let named: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| is_path(word))
        .collect();
    assert!(named.len() > 20, "ARCHITECTURE.md names only {named:?}");
    for path in named {
        assert!(
            root().join(path).exists(),
            "ARCHITECTURE.md names {path}, which is not there"
        );
    }
}

#[test]
fn no_file_names_a_directory_of_somebodys_machine() {
    // Put together here, or this file would be the first to be found.
    let places = ["home", "Users", "root", "work"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for file in project_files(&root()) {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if places.iter().any(|place| starts_a_path(line, place)) {
                found.push(format!("{}:{}: {}", shown(&file), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The repository.
fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests lie in the repository")
        .to_owned()
}

fn manifest(directory: &Path) -> Table {
    let path = directory.join("Cargo.toml");
    read(&path)
        .parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every crate that a manifest names: for itself, its tests or its build, on any platform.
fn dependencies(name: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect_dependencies(&manifest(&root().join(name)), &mut names);
    names
}

fn collect_dependencies(table: &Table, names: &mut BTreeSet<String>) {
    for (key, value) in table {
        let Some(inner) = value.as_table() else {
            continue;
        };
        if key.ends_with("dependencies") {
            names.extend(inner.keys().cloned());
        } else {
            collect_dependencies(inner, names);
        }
    }
}

/// Rust files at or below a path.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut files = Vec::new();
    for entry in entries(path) {
        match entry.is_dir() {
            true => files.extend(sources(&entry)),
            false if entry.extension().is_some_and(|ending| ending == "rs") => files.push(entry),
            false => {}
        }
    }
    files
}

/// Files that people wrote: neither hidden, nor built, nor generated data. What CI and
/// Docker read is hidden and counts all the same.
fn project_files(directory: &Path) -> Vec<PathBuf> {
    const KEPT: [&str; 5] = [
        ".ci",
        ".github",
        ".dockerignore",
        ".gitignore",
        ".hadolint.yaml",
    ];
    const LEFT_OUT: [&str; 4] = [
        "target",
        "node_modules",
        "proptest-regressions",
        "Cargo.lock",
    ];
    let mut files = Vec::new();
    for entry in entries(directory) {
        let name = entry
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let hidden = name.starts_with('.') && !KEPT.contains(&name.as_str());
        let generated = entry == root().join("data");
        if hidden || LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        match entry.is_dir() {
            true if generated => files.push(entry.join("README.md")),
            true => files.extend(project_files(&entry)),
            false => files.push(entry),
        }
    }
    files
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut entries: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Whether a text says a word, comments aside. `ffs::` is not `fs::`.
fn says(text: &str, word: &str) -> bool {
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    code.into_iter().any(|line| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
        })
    })
}

/// Whether a place begins an absolute path here; at the end of a relative one it does not.
fn starts_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "._-/~*}".contains(letter))
    })
}

/// What ARCHITECTURE.md means as a path of the repository: `registry/`, `storage/src/log/`,
/// `models/src/train.rs`, `registry.yaml`, `.ci/run`.
fn is_path(word: &str) -> bool {
    let letters = word
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "._-/".contains(letter));
    let source = Path::new(word)
        .extension()
        .is_some_and(|ending| ending == "rs");
    letters && (source || word.ends_with('/') || word.starts_with(".ci/"))
}
