//! The text of a registry: problems with their lines, or definitions that are the same when they
//! are read again.

#![no_main]

use granary_registry::Registry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Registry::parse(text) {
        Ok(registry) => {
            let again = Registry::parse(text).expect("it was valid before");
            assert_eq!(registry.fingerprint(), again.fingerprint());
        }
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
});
