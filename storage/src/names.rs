//! Which names may become file names. Called wherever a name from outside becomes a path.

use crate::{Error, Result};

/// Accepts `[A-Za-z0-9_.-]+` not beginning with a dot, which no path traversal fits.
pub fn check_name(kind: &'static str, name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(allowed) {
        return Err(Error::Name {
            kind,
            name: name.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn ordinary_names_pass_and_everything_that_could_leave_the_directory_does_not() {
        for good in [
            "user_activity_features",
            "v000001",
            "a",
            "A-1.b_c",
            "events.csv.gz",
        ] {
            assert!(check_name("group", good).is_ok(), "{good}");
        }
        for bad in [
            "", ".", "..", ".hidden", "a/b", "/a", "a\\b", "../x", "a b", "ä", "a\0",
        ] {
            assert!(check_name("group", bad).is_err(), "{bad:?}");
        }
    }
}
