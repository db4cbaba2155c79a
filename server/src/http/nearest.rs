//! The name that was probably meant. Called where a name is refused.

/// The nearest of the names, if it is near enough to be a slip.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&lower, &known.to_lowercase());
    let measured = names.into_iter().map(|known| (distance(known), known));
    let (distance, known) = measured.min_by_key(|(distance, _)| *distance)?;
    (distance <= known.chars().count().div_ceil(3)).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let names = ["user_id", "features", "as_of"];
        assert_eq!(nearest("userid", names), Some("user_id"));
        assert_eq!(nearest("Feature", names), Some("features"));
        assert_eq!(nearest("as_fo", names), Some("as_of"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("x", []), None);
    }
}
