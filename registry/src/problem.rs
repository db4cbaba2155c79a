//! What is wrong with a registry file: all of it at once, each with its place, what was found
//! and what would be right. Made by `yaml`, `shape`, `check` and `original`.

use std::fmt;

/// One thing that is wrong. Its `Display` begins with the line, so that
/// `{file}:{problem}` is a place that editors can jump to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line of the file, from 1.
    pub line: usize,
    /// Where, such as `feature_groups.activity.features[3].where`.
    pub path: String,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub expected: String,
    /// The nearest valid name, if one is near.
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "found {}; expected {}", self.found, self.expected)?;
        match &self.suggestion {
            Some(name) => write!(f, " (did you mean `{name}`?)"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a registry file, in the order of its lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// The value, if nothing was wrong on the way to it.
    pub(crate) fn or<T>(mut self, value: T) -> Result<T, Problems> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.0.sort_by_key(|problem| problem.line);
        self.0.dedup();
        Err(self)
    }
}

impl Problems {
    /// One line each, as compilers print them: `registry.yaml:14: …`.
    pub fn in_file(&self, file: &str) -> String {
        let lines: Vec<String> = self
            .0
            .iter()
            .map(|problem| format!("{file}:{problem}"))
            .collect();
        lines.join("\n")
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The name that a misspelt one was probably meant to be.
pub fn nearest<'a>(misspelt: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // Distances are quadratic in the length, and nobody misspells a novel.
    if misspelt.len() > 100 {
        return None;
    }
    names
        .into_iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&misspelt.to_lowercase(), &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, name)| *distance <= 1 + misspelt.len().min(name.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name.to_owned())
}

/// Names as a person would list them: `a`, `b` or `c`.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}

/// Outside text for a message: on one line and not too long.
pub(crate) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    format!(
        "`{}{dots}`",
        shown
            .escape_debug()
            .to_string()
            .replace("\\'", "'")
            .replace("\\\"", "\"")
    )
}
