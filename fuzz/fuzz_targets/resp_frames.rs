//! Bytes of a RESP client: no panic, and the same requests however they are cut into pieces.

#![no_main]

use granary_server::resp::{Command, Parser};
use libfuzzer_sys::fuzz_target;

/// The requests in the bytes, which arrive in pieces of this size, and how they end.
fn requests(bytes: &[u8], piece: usize) -> (Vec<Vec<Vec<u8>>>, Option<String>) {
    let mut parser = Parser::default();
    let (mut input, mut found) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        loop {
            match parser.next(&input) {
                Ok(Some(length)) => {
                    let arguments = parser.arguments(&input);
                    if !arguments.is_empty() {
                        let _ = Command::parse(arguments);
                    }
                    found.push(arguments.from(0).map(<[u8]>::to_vec).collect());
                    input.drain(..length);
                }
                Ok(None) => break,
                Err(error) => return (found, Some(error.to_string())),
            }
        }
    }
    (found, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&piece, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = requests(bytes, bytes.len().max(1));
    let pieces = requests(bytes, usize::from(piece) + 1);
    assert_eq!(whole, pieces);
});
